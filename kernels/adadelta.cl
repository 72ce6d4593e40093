/* Adadelta; see refcnn/reference/adadelta.py. */

#include "update.cl"

#define PARAMETER(n) WITH_TWO(n, r, s)
#define UPDATE(n) UPDATE_TWO(n, r, s, lr, rho, one_minus_rho, epsilon)

inline void update(__global const float *restrict w, __global const float *restrict g,
                   __global const float *restrict r, __global const float *restrict s, __global float *restrict w_new,
                   __global float *restrict r_new, __global float *restrict s_new, int chunk, int count, float lr,
                   float rho, float one_minus_rho, float epsilon)
{
    const int begin = chunk * CHUNK, end = begin + min(CHUNK, count - begin);
    for (int i = begin; i < end; i++) {
        const float square = rho * r[i] + one_minus_rho * (g[i] * g[i]);
        const float change = sqrt(s[i] + epsilon) / sqrt(square + epsilon) * g[i];
        r_new[i] = square;
        s_new[i] = rho * s[i] + one_minus_rho * (change * change);
        w_new[i] = w[i] - lr * change;
    }
}

__kernel void adadelta_forward(EACH(PARAMETER) float lr, float rho, float one_minus_rho, float epsilon)
{
    int chunk = get_global_id(0);
    EACH(UPDATE)
}
