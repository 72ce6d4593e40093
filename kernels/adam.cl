/* Adam; see refcnn/reference/adam.py. The corrections are 1 - beta1^step and 1 - beta2^step. */

__kernel void adam_forward(__global const float *w, __global const float *g, __global const float *m,
                           __global const float *r, __global float *w_new, __global float *m_new,
                           __global float *r_new, int count, float lr, float beta1, float beta2,
                           float one_minus_beta1, float one_minus_beta2, float epsilon,
                           float correction1, float correction2)
{
    int i = get_global_id(0);
    if (i >= count)
        return;
    float mean = beta1 * m[i] + one_minus_beta1 * g[i];
    float square = beta2 * r[i] + one_minus_beta2 * (g[i] * g[i]);
    m_new[i] = mean;
    r_new[i] = square;
    w_new[i] = w[i] - lr * (mean / correction1) / (sqrt(square / correction2) + epsilon);
}
