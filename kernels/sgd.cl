/* Gradient descent with momentum; see refcnn/reference/sgd.py. */

#include "update.cl"

#define PARAMETER(n) WITH_ONE(n, v)
#define UPDATE(n) UPDATE_ONE(n, v, lr, momentum, nesterov)

inline void update(__global const float *restrict w, __global const float *restrict g,
                   __global const float *restrict v, __global float *restrict w_new, __global float *restrict v_new,
                   int chunk, int count, float lr, float momentum, int nesterov)
{
    const int begin = chunk * CHUNK, end = begin + min(CHUNK, count - begin);
    for (int i = begin; i < end; i++) {
        const float velocity = momentum * v[i] + lr * g[i];
        v_new[i] = velocity;
        w_new[i] = nesterov ? w[i] - ((1.0f + momentum) * velocity - momentum * v[i]) : w[i] - velocity;
    }
}

__kernel void sgd_forward(EACH(PARAMETER) float lr, float momentum, int nesterov)
{
    int chunk = get_global_id(0);
    EACH(UPDATE)
}
