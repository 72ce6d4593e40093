/* y = max(x, 0), and NaN where x is NaN; see refcnn/reference/relu.py. */

__kernel void relu_forward(__global const float *x, __global float *y, int count)
{
    int i = get_global_id(0);
    if (i < count)
        y[i] = x[i] <= 0.0f ? 0.0f : x[i];
}

__kernel void relu_backward(__global const float *dy, __global const float *y, __global float *dx, int count)
{
    int i = get_global_id(0);
    if (i < count)
        dx[i] = y[i] > 0.0f ? dy[i] : 0.0f;
}
