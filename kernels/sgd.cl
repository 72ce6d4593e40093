/* Gradient descent with momentum; see refcnn/reference/sgd.py. A launch updates up to eight parameters.
   Build option: CHUNK, the elements that a work-item does. */

#define EACH(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7)
#define PARAMETER(n)                                                                                             \
    __global const float *restrict w##n, __global const float *restrict g##n, __global const float *restrict v##n, \
        __global float *restrict w_new##n, __global float *restrict v_new##n, int count##n,
#define UPDATE(n)                                                                                                \
    if (chunk < (count##n + CHUNK - 1) / CHUNK) {                                                                \
        update(w##n, g##n, v##n, w_new##n, v_new##n, chunk, count##n, lr, momentum, nesterov);                   \
        return;                                                                                                  \
    }                                                                                                            \
    chunk -= (count##n + CHUNK - 1) / CHUNK;

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
