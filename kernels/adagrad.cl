/* Adagrad; see refcnn/reference/adagrad.py. */

#include "update.cl"

#define PARAMETER(n) WITH_ONE(n, r)
#define UPDATE(n) UPDATE_ONE(n, r, lr, epsilon)

inline void update(__global const float *restrict w, __global const float *restrict g,
                   __global const float *restrict r, __global float *restrict w_new, __global float *restrict r_new,
                   int chunk, int count, float lr, float epsilon)
{
    const int begin = chunk * CHUNK, end = begin + min(CHUNK, count - begin);
    for (int i = begin; i < end; i++) {
        const float square = r[i] + g[i] * g[i];
        r_new[i] = square;
        w_new[i] = w[i] - lr * g[i] / (sqrt(square) + epsilon);
    }
}

__kernel void adagrad_forward(EACH(PARAMETER) float lr, float epsilon)
{
    int chunk = get_global_id(0);
    EACH(UPDATE)
}
