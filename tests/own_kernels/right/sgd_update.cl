// An operation with two results.
/* refcnn
operation = "sgd"

[[forward]]
kernel = "update"
global = ["round_up(w.size, 64)"]
local = [64]
[forward.arguments]
w = "w"
g = "g"
v = "v"
next_w = "y0"
next_v = "y1"
size = "w.size"
rate = "lr"
momentum = "momentum"
nesterov = "nesterov"
*/
__kernel void update(__global const float *w, __global const float *g, __global const float *v, __global float *next_w,
                     __global float *next_v, int size, float rate, float momentum, int nesterov)
{
    int i = get_global_id(0);
    if (i >= size)
        return;
    float velocity = momentum * v[i] + rate * g[i];
    next_v[i] = velocity;
    next_w[i] = w[i] - (nesterov ? (1 + momentum) * velocity - momentum * v[i] : velocity);
}
