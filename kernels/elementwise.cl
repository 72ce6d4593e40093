/* Functions of one number or of two, element by element. Build options:
   CHUNK          the elements that a work-item does
   OPERATION      the function, of elementary.cl, activation.cl, arithmetic.cl or logic.cl, or OpenCL's own
   TYPE           the operands' type; left out for floats that have a gradient
   INTEGER        where TYPE is one of whole numbers and the function is of integer.cl
   RESULT         the result's type, where it is another than TYPE
   SLOPE          of one number: its slope; empty where there is no gradient
   ATTRIBUTES     of one number: how many attributes both take, up to 2
   OF_A, OF_B     of two: what dy makes of the gradient of a (b); left out where that is dy itself
   A_STEP, B_STEP of two that are broadcast: 1, or 0 where a (b) is repeated along the last axis
   Without SLOPE a function is of two numbers; those may lie in the same array. */

#ifndef TYPE
#define TYPE float
#define HAS_GRADIENT
#endif
#ifndef RESULT
#define RESULT TYPE
#endif

#ifdef INTEGER
#include "integer.cl"
#else
#include "elementary.cl"
#include "activation.cl"
#include "arithmetic.cl"
#endif
#include "logic.cl"

/* Does something with each element i of this work-item. */
#define EACH(DO)                                                                          \
    const int begin = get_global_id(0) * CHUNK, end = begin + min(CHUNK, count - begin); \
    for (int i = begin; i < end; i++)                                                     \
        DO

#ifdef SLOPE

#if ATTRIBUTES == 2
#define WITH_ATTRIBUTES(...) (__VA_ARGS__, attribute1, attribute2)
#elif ATTRIBUTES == 1
#define WITH_ATTRIBUTES(...) (__VA_ARGS__, attribute1)
#else
#define WITH_ATTRIBUTES(...) (__VA_ARGS__)
#endif

__kernel void unary_forward(__global const TYPE *restrict x, __global RESULT *restrict y, int count,
                            float attribute1, float attribute2)
{
    EACH(y[i] = OPERATION WITH_ATTRIBUTES(x[i]);)
}

#ifdef HAS_GRADIENT
__kernel void unary_backward(__global const float *restrict dy, __global const float *restrict x,
                             __global const float *restrict y, __global float *restrict dx, int count,
                             float attribute1, float attribute2)
{
    EACH(dx[i] = dy[i] * SLOPE WITH_ATTRIBUTES(x[i], y[i]);)
}
#endif

#else

__kernel void binary_forward(__global const TYPE *a, __global const TYPE *b, __global RESULT *restrict y, int count)
{
    EACH(y[i] = OPERATION(a[i], b[i]);)
}

#if defined(OF_A) && defined(HAS_GRADIENT)
__kernel void binary_backward_a(__global const float *dy, __global const float *a, __global const float *b,
                                __global const float *y, __global float *restrict da, int count)
{
    EACH(da[i] = OF_A(dy[i], a[i], b[i], y[i]);)
}
#endif

#if defined(OF_B) && defined(HAS_GRADIENT)
__kernel void binary_backward_b(__global const float *dy, __global const float *a, __global const float *b,
                                __global const float *y, __global float *restrict db, int count)
{
    EACH(db[i] = OF_B(dy[i], a[i], b[i], y[i]);)
}
#endif

#ifdef A_STEP
/* The result's axes are taken as four: axis1 and axis2 are the sizes of the middle ones, last that of the last. */
inline int place(int row, int axis1, int axis2, int stride0, int stride1, int stride2)
{
    return row / axis2 / axis1 * stride0 + row / axis2 % axis1 * stride1 + row % axis2 * stride2;
}

/* Does something with each element i of this work-item, which is of element j of a and element k of b. */
#define EACH_BROADCAST(DO)                                                                                  \
    const int begin = get_global_id(0) * CHUNK, end = begin + min(CHUNK, count - begin);                   \
    for (int first = begin; first < end;) {                                                                 \
        const int row = first / last, column = first % last, stop = min(end - first, last - column);        \
        const int j0 = place(row, axis1, axis2, a_stride0, a_stride1, a_stride2) + column * A_STEP;         \
        const int k0 = place(row, axis1, axis2, b_stride0, b_stride1, b_stride2) + column * B_STEP;         \
        for (int n = 0; n < stop; n++) {                                                                    \
            const int i = first + n, j = j0 + n * A_STEP, k = k0 + n * B_STEP;                              \
            DO                                                                                              \
        }                                                                                                   \
        first += stop;                                                                                      \
    }

__kernel void broadcast_forward(__global const TYPE *a, __global const TYPE *b, __global RESULT *restrict y,
                                int count, int axis1, int axis2, int last, int a_stride0, int a_stride1,
                                int a_stride2, int b_stride0, int b_stride1, int b_stride2)
{
    EACH_BROADCAST(y[i] = OPERATION(a[j], b[k]);)
}

#if defined(OF_A) && defined(HAS_GRADIENT)
__kernel void broadcast_backward_a(__global const float *dy, __global const float *a, __global const float *b,
                                   __global const float *y, __global float *restrict da, int count, int axis1,
                                   int axis2, int last, int a_stride0, int a_stride1, int a_stride2, int b_stride0,
                                   int b_stride1, int b_stride2)
{
    EACH_BROADCAST(da[i] = OF_A(dy[i], a[j], b[k], y[i]);)
}
#endif

#if defined(OF_B) && defined(HAS_GRADIENT)
__kernel void broadcast_backward_b(__global const float *dy, __global const float *a, __global const float *b,
                                   __global const float *y, __global float *restrict db, int count, int axis1,
                                   int axis2, int last, int a_stride0, int a_stride1, int a_stride2, int b_stride0,
                                   int b_stride1, int b_stride2)
{
    EACH_BROADCAST(db[i] = OF_B(dy[i], a[j], b[k], y[i]);)
}
#endif
#endif

#endif
