// A fully connected layer, plainly: one work-item for each element of the result. Names as in
// refcnn/reference/dense.py, with the sizes in capitals.

// Sums are blocked: of at most this many terms, one after the other, and then of such sums.
#define TERMS 512

// sum = first + the sum of a term for each i below count; it is first itself if there is none.
#define ADD_UP(sum, first, i, count, term)                                          \
    float sum = first;                                                              \
    for (int begin_##i = 0; begin_##i < count; begin_##i += TERMS) {                \
        float part = begin_##i ? 0.0f : first;                                      \
        for (int i = begin_##i; i < begin_##i + min(TERMS, count - begin_##i); i++) \
            part += term;                                                           \
        sum = begin_##i ? sum + part : part;                                        \
    }

// Dimension 0: o; 1: n; 2: which of a stack of products.
__kernel void forward(
    __global const float *x, __global const float *w, __global const float *b, int has_bias, __global float *y,
    int STACK, int N, int IN, int OUT)
{
    const int o = get_global_id(0), n = get_global_id(1), s = get_global_id(2);
    if (o >= OUT || n >= N || s >= STACK)
        return;
    x += (s * N + n) * IN;
    w += s * IN * OUT + o;
    ADD_UP(sum, (has_bias ? b[o] : 0.0f), i, IN, x[i] * w[i * OUT])
    y[(s * N + n) * OUT + o] = sum;
}

// Dimension 0: i; 1: n.
__kernel void backward_x(
    __global const float *dy, __global const float *w, __global float *dx, int N, int IN, int OUT)
{
    const int i = get_global_id(0), n = get_global_id(1);
    if (i >= IN || n >= N)
        return;
    ADD_UP(sum, 0.0f, o, OUT, dy[n * OUT + o] * w[i * OUT + o])
    dx[n * IN + i] = sum;
}

// Dimension 0: o; 1: i.
__kernel void backward_w(
    __global const float *x, __global const float *dy, __global float *dw, int N, int IN, int OUT)
{
    const int o = get_global_id(0), i = get_global_id(1);
    if (o >= OUT || i >= IN)
        return;
    ADD_UP(sum, 0.0f, n, N, x[n * IN + i] * dy[n * OUT + o])
    dw[i * OUT + o] = sum;
}

// Dimension 0: o.
__kernel void backward_b(__global const float *dy, __global float *db, int N, int OUT)
{
    const int o = get_global_id(0);
    if (o >= OUT)
        return;
    ADD_UP(sum, 0.0f, n, N, dy[n * OUT + o])
    db[o] = sum;
}
