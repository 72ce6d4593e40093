/* Multiply-adds in registers alone, as many as a device can do: the limit of whatever it computes. */

#include "vectors.cl"

/* y[item][lane] = the sum over CHAINS numbers of what x becomes by so many steps x = a x + b, beginning with
   first[chain][lane]. No chain waits for another, so that a processor can begin with one while it is not done with the
   others; and what they begin with is read and what comes out is stored, so that no compiler can leave a step out.
   Written plainly, as in the kernels of the operations, and so made into multiply-adds as these are: by mad and fma
   PoCL calls functions. */
__kernel void multiply_adds(__global const float *first, __global float *y, int steps, float a, float b)
{
    vector x[CHAINS];
    #pragma unroll
    for (int chain = 0; chain < CHAINS; chain++)
        x[chain] = LOAD(first + chain * WIDTH);
    for (int step = 0; step < steps; step++) {
        #pragma unroll
        for (int chain = 0; chain < CHAINS; chain++)
            x[chain] = x[chain] * a + b;
    }
    vector total = x[0];
    #pragma unroll
    for (int chain = 1; chain < CHAINS; chain++)
        total += x[chain];
    STORE(y + get_global_id(0) * WIDTH, total);
}
