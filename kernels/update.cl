/* What the kernels of optimizers share, which update up to eight parameters in one launch. Build option: CHUNK, the
   elements that a work-item does. Each file has a function update for one chunk of a parameter: a parameter's arrays by
   the names of the reference, those that are written ending in _new. */

#define EACH(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7)

/* The arguments of the parameter n, for which one array, a, is kept, or two. */
#define WITH_ONE(n, a)                                                                                               \
    __global const float *restrict w##n, __global const float *restrict g##n, __global const float *restrict a##n,   \
        __global float *restrict w_new##n, __global float *restrict a##_new##n, int count##n,
#define WITH_TWO(n, a, b)                                                                                            \
    __global const float *restrict w##n, __global const float *restrict g##n, __global const float *restrict a##n,   \
        __global const float *restrict b##n, __global float *restrict w_new##n, __global float *restrict a##_new##n, \
        __global float *restrict b##_new##n, int count##n,

/* Updates the chunk of this work-item if it is one of the parameter n, and else counts those of the next from 0. */
#define UPDATE_ONE(n, a, ...) IN_CHUNK(n, (w##n, g##n, a##n, w_new##n, a##_new##n, chunk, count##n, __VA_ARGS__))
#define UPDATE_TWO(n, a, b, ...)                                                                           \
    IN_CHUNK(n, (w##n, g##n, a##n, b##n, w_new##n, a##_new##n, b##_new##n, chunk, count##n, __VA_ARGS__))
#define IN_CHUNK(n, ARGUMENTS)                        \
    if (chunk < (count##n + CHUNK - 1) / CHUNK) {    \
        update ARGUMENTS;                             \
        return;                                       \
    }                                                 \
    chunk -= (count##n + CHUNK - 1) / CHUNK;
