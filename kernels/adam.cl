/* Adam; see refcnn/reference/adam.py. The corrections are 1 - beta1^step and 1 - beta2^step. A launch updates up to
   eight parameters. Build option: CHUNK, the elements that a work-item does. */

#define EACH(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7)
#define PARAMETER(n)                                                                                             \
    __global const float *restrict w##n, __global const float *restrict g##n, __global const float *restrict m##n, \
        __global const float *restrict r##n, __global float *restrict w_new##n, __global float *restrict m_new##n, \
        __global float *restrict r_new##n, int count##n,
#define UPDATE(n)                                                                                                \
    if (chunk < (count##n + CHUNK - 1) / CHUNK) {                                                                \
        update(w##n, g##n, m##n, r##n, w_new##n, m_new##n, r_new##n, chunk, count##n, lr, beta1, beta2,          \
               one_minus_beta1, one_minus_beta2, epsilon, correction1, correction2);                             \
        return;                                                                                                  \
    }                                                                                                            \
    chunk -= (count##n + CHUNK - 1) / CHUNK;

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
