// Vectors of four, and what is left one by one; a gradient that asks what the result was.
/* refcnn
operation = "relu"

[[forward]]
kernel = "rectify"
arguments = { x = "x", y = "y", size = "x.size" }
global = ["round_up(ceil_div(x.size, 4), 64)"]
local = [64]

[[backward]]
kernel = "pass_on"
arguments = { dy = "dy", y = "y", dx = "dx", size = "x.size" }
global = ["round_up(x.size, 64)"]
local = [64]
*/
__kernel void rectify(__global const float *x, __global float *y, int size)
{
    int first = get_global_id(0) * 4;
    if (first + 4 <= size) {
        float4 value = vload4(0, x + first);
        vstore4(select(value, (float4)(0), value <= 0), 0, y + first);
    }
    else
        for (int i = first; i < size; i++)
            y[i] = x[i] <= 0 ? 0 : x[i];
}

__kernel void pass_on(__global const float *dy, __global const float *y, __global float *dx, int size)
{
    int i = get_global_id(0);
    if (i < size)
        dx[i] = y[i] > 0 ? dy[i] : 0;
}
