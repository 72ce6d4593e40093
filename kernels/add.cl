/* y = a + b; see refcnn/reference/add.py. */

__kernel void add_forward(__global const float *a, __global const float *b, __global float *y, int count)
{
    int i = get_global_id(0);
    if (i < count)
        y[i] = a[i] + b[i];
}
