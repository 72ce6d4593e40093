/* Pixels put back to the places where max pooling found them, all of them in the result; see
   refcnn/reference/max_unpool2d.py. */

__kernel void nothing(__global int *restrict last, int size)
{
    const int at = get_global_id(0);
    if (at < size)
        last[at] = -1;
}

/* Which of x is put to each place: of several the last. Integers come to the same in whatever order they are
   compared. */
__kernel void find_last(__global const long *restrict indices, __global int *restrict last, int count)
{
    const int k = get_global_id(0);
    if (k < count)
        atomic_max(&last[indices[k]], k);
}

__kernel void put(__global const float *restrict x, __global const int *restrict last, __global float *restrict y,
                  int size)
{
    const int at = get_global_id(0);
    if (at < size)
        y[at] = last[at] < 0 ? 0.0f : x[last[at]];
}

__kernel void take(__global const float *restrict dy, __global const long *restrict indices,
                   __global const int *restrict last, __global float *restrict dx, int count)
{
    const int k = get_global_id(0);
    if (k < count)
        dx[k] = last[indices[k]] == k ? dy[indices[k]] : 0.0f;
}
