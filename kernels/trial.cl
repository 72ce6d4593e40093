// What every kernel of refcnn relies on, in one that is small: it is the first that a device is asked for.

#define GROUP 16

// y[i] = a * x[reversed i] + i, with the work-group's part of x reversed in local memory.
__kernel void trial(__global const float *x, __global float *y, int n, float a)
{
    __local float part[GROUP];
    int i = get_global_id(0);
    int local_i = get_local_id(0);
    part[local_i] = i < n ? x[i] : 0.0f;
    barrier(CLK_LOCAL_MEM_FENCE);
    if (i < n)
        y[i] = fma(a, part[GROUP - 1 - local_i], (float)i);
}
