/* y = a + b; see refcnn/reference/add.py. Build option: CHUNK, the elements that a work-item does.
   a and b may be the same array. */

__kernel void add_forward(__global const float *a, __global const float *b, __global float *restrict y, int count)
{
    const int begin = get_global_id(0) * CHUNK, end = begin + min(CHUNK, count - begin);
    for (int i = begin; i < end; i++)
        y[i] = a[i] + b[i];
}
