/* Adam; see refcnn/reference/adam.py. The corrections are 1 - beta1^step and 1 - beta2^step. */

#include "update.cl"

#define PARAMETER(n) WITH_TWO(n, m, r)
#define UPDATE(n)                                                                     \
    UPDATE_TWO(n, m, r, lr, beta1, beta2, one_minus_beta1, one_minus_beta2,           \
               epsilon, correction1, correction2)

inline void update(__global const float *restrict w, __global const float *restrict g,
                   __global const float *restrict m, __global const float *restrict r, __global float *restrict w_new,
                   __global float *restrict m_new, __global float *restrict r_new, int chunk, int count, float lr,
                   float beta1, float beta2, float one_minus_beta1, float one_minus_beta2, float epsilon,
                   float correction1, float correction2)
{
    const int begin = chunk * CHUNK, end = begin + min(CHUNK, count - begin);
    for (int i = begin; i < end; i++) {
        const float mean = beta1 * m[i] + one_minus_beta1 * g[i];
        const float square = beta2 * r[i] + one_minus_beta2 * (g[i] * g[i]);
        m_new[i] = mean;
        r_new[i] = square;
        w_new[i] = w[i] - lr * (mean / correction1) / (sqrt(square / correction2) + epsilon);
    }
}

__kernel void adam_forward(EACH(PARAMETER) float lr, float beta1, float beta2, float one_minus_beta1,
                           float one_minus_beta2, float epsilon, float correction1, float correction2)
{
    int chunk = get_global_id(0);
    EACH(UPDATE)
}
