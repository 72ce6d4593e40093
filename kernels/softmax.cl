/* Rows of logits as rows of probabilities; see refcnn/reference/softmax.py. One work-item a row. */

__kernel void softmax_forward(__global const float *x, __global float *y, int rows, int columns)
{
    int n = get_global_id(0);
    if (n >= rows)
        return;
    x += (size_t)n * columns;
    y += (size_t)n * columns;
    float m = x[0];
    for (int i = 1; i < columns; i++)
        m = x[i] > m || isnan(x[i]) ? x[i] : m;
    float sum = 0.0f;
    for (int i = 0; i < columns; i++) {
        y[i] = exp(x[i] - m);
        sum += y[i];
    }
    for (int i = 0; i < columns; i++)
        y[i] = y[i] / sum;
}

__kernel void softmax_backward(__global const float *dy, __global const float *y, __global float *dx,
                               int rows, int columns)
{
    int n = get_global_id(0);
    if (n >= rows)
        return;
    dy += (size_t)n * columns;
    y += (size_t)n * columns;
    dx += (size_t)n * columns;
    float sum = 0.0f;
    for (int i = 0; i < columns; i++)
        sum += dy[i] * y[i];
    for (int i = 0; i < columns; i++)
        dx[i] = y[i] * (dy[i] - sum);
}
