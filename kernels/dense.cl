// A fully connected layer, plainly: one work-item for each element of the result. Names as in
// refcnn/reference/dense.py, with the sizes in capitals.

// Dimension 0: o; 1: n.
__kernel void forward(
    __global const float *x, __global const float *w, __global const float *b, int has_bias, __global float *y,
    int N, int IN, int OUT)
{
    const int o = get_global_id(0), n = get_global_id(1);
    if (o >= OUT || n >= N)
        return;
    float sum = has_bias ? b[o] : 0.0f;
    for (int i = 0; i < IN; i++)
        sum += x[n * IN + i] * w[i * OUT + o];
    y[n * OUT + o] = sum;
}

// Dimension 0: i; 1: n.
__kernel void backward_x(
    __global const float *dy, __global const float *w, __global float *dx, int N, int IN, int OUT)
{
    const int i = get_global_id(0), n = get_global_id(1);
    if (i >= IN || n >= N)
        return;
    float sum = 0.0f;
    for (int o = 0; o < OUT; o++)
        sum += dy[n * OUT + o] * w[i * OUT + o];
    dx[n * IN + i] = sum;
}

// Dimension 0: o; 1: i.
__kernel void backward_w(
    __global const float *x, __global const float *dy, __global float *dw, int N, int IN, int OUT)
{
    const int o = get_global_id(0), i = get_global_id(1);
    if (o >= OUT || i >= IN)
        return;
    float sum = 0.0f;
    for (int n = 0; n < N; n++)
        sum += x[n * IN + i] * dy[n * OUT + o];
    dw[i * OUT + o] = sum;
}

// Dimension 0: o.
__kernel void backward_b(__global const float *dy, __global float *db, int N, int OUT)
{
    const int o = get_global_id(0);
    if (o >= OUT)
        return;
    float sum = 0.0f;
    for (int n = 0; n < N; n++)
        sum += dy[n * OUT + o];
    db[o] = sum;
}
