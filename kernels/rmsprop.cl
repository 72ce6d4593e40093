/* RMSprop with momentum; see refcnn/reference/rmsprop.py. */

#include "update.cl"

#define PARAMETER(n) WITH_TWO(n, r, v)
#define UPDATE(n) UPDATE_TWO(n, r, v, lr, rho, one_minus_rho, momentum, epsilon)

inline void update(__global const float *restrict w, __global const float *restrict g,
                   __global const float *restrict r, __global const float *restrict v, __global float *restrict w_new,
                   __global float *restrict r_new, __global float *restrict v_new, int chunk, int count, float lr,
                   float rho, float one_minus_rho, float momentum, float epsilon)
{
    const int begin = chunk * CHUNK, end = begin + min(CHUNK, count - begin);
    for (int i = begin; i < end; i++) {
        const float square = rho * r[i] + one_minus_rho * (g[i] * g[i]);
        const float velocity = momentum * v[i] + lr * g[i] / (sqrt(square) + epsilon);
        r_new[i] = square;
        v_new[i] = velocity;
        w_new[i] = w[i] - velocity;
    }
}

__kernel void rmsprop_forward(EACH(PARAMETER) float lr, float rho, float one_minus_rho, float momentum, float epsilon)
{
    int chunk = get_global_id(0);
    EACH(UPDATE)
}
