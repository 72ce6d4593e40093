/* y = max(x, 0), and NaN where x is NaN; see refcnn/reference/relu.py.
   Build option: CHUNK, the elements that a work-item does. */

__kernel void relu_forward(__global const float *restrict x, __global float *restrict y, int count)
{
    const int begin = get_global_id(0) * CHUNK, end = begin + min(CHUNK, count - begin);
    for (int i = begin; i < end; i++)
        y[i] = x[i] <= 0.0f ? 0.0f : x[i];
}

__kernel void relu_backward(__global const float *restrict dy, __global const float *restrict y,
                            __global float *restrict dx, int count)
{
    const int begin = get_global_id(0) * CHUNK, end = begin + min(CHUNK, count - begin);
    for (int i = begin; i < end; i++)
        dx[i] = y[i] > 0.0f ? dy[i] : 0.0f;
}
