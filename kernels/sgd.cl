/* Gradient descent with momentum; see refcnn/reference/sgd.py. */

__kernel void sgd_forward(__global const float *w, __global const float *g, __global const float *v,
                          __global float *w_new, __global float *v_new, int count,
                          float lr, float momentum, int nesterov)
{
    int i = get_global_id(0);
    if (i >= count)
        return;
    float velocity = momentum * v[i] + lr * g[i];
    v_new[i] = velocity;
    w_new[i] = nesterov ? w[i] - ((1.0f + momentum) * velocity - momentum * v[i]) : w[i] - velocity;
}
