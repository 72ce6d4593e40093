/* Adamax; see refcnn/reference/adamax.py. The correction is 1 - beta1^step. */

#include "update.cl"

#define PARAMETER(n) WITH_TWO(n, m, u)
#define UPDATE(n) UPDATE_TWO(n, m, u, lr, beta1, beta2, one_minus_beta1, epsilon, correction)

inline void update(__global const float *restrict w, __global const float *restrict g,
                   __global const float *restrict m, __global const float *restrict u, __global float *restrict w_new,
                   __global float *restrict m_new, __global float *restrict u_new, int chunk, int count, float lr,
                   float beta1, float beta2, float one_minus_beta1, float epsilon, float correction)
{
    const int begin = chunk * CHUNK, end = begin + min(CHUNK, count - begin);
    for (int i = begin; i < end; i++) {
        const float mean = beta1 * m[i] + one_minus_beta1 * g[i];
        const float decayed = beta2 * u[i], now = fabs(g[i]) + epsilon;
        const float largest = decayed > now || isnan(decayed) ? decayed : now;
        m_new[i] = mean;
        u_new[i] = largest;
        w_new[i] = w[i] - lr * (mean / correction) / largest;
    }
}

__kernel void adamax_forward(EACH(PARAMETER) float lr, float beta1, float beta2, float one_minus_beta1, float epsilon,
                             float correction)
{
    int chunk = get_global_id(0);
    EACH(UPDATE)
}
