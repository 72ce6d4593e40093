/* Functions of one number or of two, element by element. Build options:
   CHUNK          the elements that a work-item does
   WIDTH          those that it takes at once, 1 or as many as a vector has, where the function is of FLOAT
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

#define JOINED(type, width) type##width
#define VECTOR(type, width) JOINED(type, width)
#if WIDTH > 1
#define FLOAT VECTOR(float, WIDTH)
#else
#define FLOAT float
#endif

#ifdef INTEGER
#include "integer.cl"
#else
#include "limits.cl"
#include "elementary.cl"
#include "activation.cl"
#include "power.cl"
#include "arithmetic.cl"
#endif
#include "logic.cl"

#if WIDTH > 1
typedef FLOAT unaligned_vector __attribute__((aligned(4)));

/* The first of so many numbers that are left, as many as a vector has; 0 in the place of those that it has more. */
inline FLOAT taken(__global const float *x, int left)
{
    if (left >= WIDTH)
        return *(__global const unaligned_vector *)x;
    FLOAT value = 0.0f;
    for (int k = 0; k < left; k++)
        ((float *)&value)[k] = x[k];
    return value;
}

inline void put(__global float *y, int left, FLOAT value)
{
    if (left >= WIDTH)
        *(__global unaligned_vector *)y = value;
    else
        for (int k = 0; k < left; k++)
            y[k] = ((float *)&value)[k];
}

#define TAKEN(x, i, left) taken(x + (i), left)
#define PUT(y, i, left, value) put(y + (i), left, value)
#else
#define TAKEN(x, i, left) x[i]
#define PUT(y, i, left, value) y[i] = value
#endif

/* Does something with the elements from i on of this work-item, WIDTH of them at once. */
#define EACH(DO)                                                                          \
    const int begin = get_global_id(0) * CHUNK, end = begin + min(CHUNK, count - begin); \
    for (int i = begin; i < end; i += WIDTH)                                              \
        DO
#define HERE(x) TAKEN(x, i, end - i)
#define PUT_HERE(y, value) PUT(y, i, end - i, value);

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
    EACH(PUT_HERE(y, OPERATION WITH_ATTRIBUTES(HERE(x))))
}

#ifdef HAS_GRADIENT
__kernel void unary_backward(__global const float *restrict dy, __global const float *restrict x,
                             __global const float *restrict y, __global float *restrict dx, int count,
                             float attribute1, float attribute2)
{
    EACH(PUT_HERE(dx, HERE(dy) * SLOPE WITH_ATTRIBUTES(HERE(x), HERE(y))))
}
#endif

#else

__kernel void binary_forward(__global const TYPE *a, __global const TYPE *b, __global RESULT *restrict y, int count)
{
    EACH(PUT_HERE(y, OPERATION(HERE(a), HERE(b))))
}

#if defined(OF_A) && defined(HAS_GRADIENT)
__kernel void binary_backward_a(__global const float *dy, __global const float *a, __global const float *b,
                                __global const float *y, __global float *restrict da, int count)
{
    EACH(PUT_HERE(da, OF_A(HERE(dy), HERE(a), HERE(b), HERE(y))))
}
#endif

#if defined(OF_B) && defined(HAS_GRADIENT)
__kernel void binary_backward_b(__global const float *dy, __global const float *a, __global const float *b,
                                __global const float *y, __global float *restrict db, int count)
{
    EACH(PUT_HERE(db, OF_B(HERE(dy), HERE(a), HERE(b), HERE(y))))
}
#endif

#ifdef A_STEP
/* The result's axes are taken as four: axis1 and axis2 are the sizes of the middle ones, last that of the last. */
inline int place(int row, int axis1, int axis2, int stride0, int stride1, int stride2)
{
    return row / axis2 / axis1 * stride0 + row / axis2 % axis1 * stride1 + row % axis2 * stride2;
}

/* Does something with the elements from i on of this work-item, which are of those of a from j on and of b from k on, or
   of one of them. */
#define EACH_BROADCAST(DO)                                                                                  \
    const int begin = get_global_id(0) * CHUNK, end = begin + min(CHUNK, count - begin);                   \
    for (int first = begin; first < end;) {                                                                 \
        const int row = first / last, column = first % last, stop = min(end - first, last - column);        \
        const int j0 = place(row, axis1, axis2, a_stride0, a_stride1, a_stride2) + column * A_STEP;         \
        const int k0 = place(row, axis1, axis2, b_stride0, b_stride1, b_stride2) + column * B_STEP;         \
        for (int n = 0; n < stop; n += WIDTH) {                                                             \
            const int i = first + n, j = j0 + n * A_STEP, k = k0 + n * B_STEP, left = stop - n;             \
            DO                                                                                              \
        }                                                                                                   \
        first += stop;                                                                                      \
    }
#if A_STEP
#define OF_OPERAND_A TAKEN(a, j, left)
#else
#define OF_OPERAND_A a[j]
#endif
#if B_STEP
#define OF_OPERAND_B TAKEN(b, k, left)
#else
#define OF_OPERAND_B b[k]
#endif
#define OPERANDS OF_OPERAND_A, OF_OPERAND_B

__kernel void broadcast_forward(__global const TYPE *a, __global const TYPE *b, __global RESULT *restrict y,
                                int count, int axis1, int axis2, int last, int a_stride0, int a_stride1,
                                int a_stride2, int b_stride0, int b_stride1, int b_stride2)
{
    EACH_BROADCAST(PUT(y, i, left, OPERATION(OPERANDS));)
}

#if defined(OF_A) && defined(HAS_GRADIENT)
__kernel void broadcast_backward_a(__global const float *dy, __global const float *a, __global const float *b,
                                   __global const float *y, __global float *restrict da, int count, int axis1,
                                   int axis2, int last, int a_stride0, int a_stride1, int a_stride2, int b_stride0,
                                   int b_stride1, int b_stride2)
{
    EACH_BROADCAST(PUT(da, i, left, OF_A(TAKEN(dy, i, left), OPERANDS, TAKEN(y, i, left)));)
}
#endif

#if defined(OF_B) && defined(HAS_GRADIENT)
__kernel void broadcast_backward_b(__global const float *dy, __global const float *a, __global const float *b,
                                   __global const float *y, __global float *restrict db, int count, int axis1,
                                   int axis2, int last, int a_stride0, int a_stride1, int a_stride2, int b_stride0,
                                   int b_stride1, int b_stride2)
{
    EACH_BROADCAST(PUT(db, i, left, OF_B(TAKEN(dy, i, left), OPERANDS, TAKEN(y, i, left)));)
}
#endif
#endif

#endif
