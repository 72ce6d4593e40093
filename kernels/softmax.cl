/* Softmax along an axis, and its logarithm; see refcnn/reference/softmax.py and refcnn/reference/log_softmax.py. One
   work-item a row, whose elements are STRIDE apart. Build options: STRIDE, which is 1 or the argument inner. */

/* Sums are blocked: of at most this many terms, one after the other, and then of such sums. */
#define TERMS 1024

/* The first element of a row. */
#define FIRST ((size_t)(n / inner) * columns * inner + n % inner)
#define AT(i) ((i) * (size_t)STRIDE)

/* Adds up a term for each element i of a row. */
#define SUM_OF(sum, TERM)                                                      \
    for (int begin = 0; begin < columns; begin += TERMS) {                     \
        float part = 0.0f;                                                     \
        for (int i = begin; i < begin + min(TERMS, columns - begin); i++) {    \
            TERM                                                               \
        }                                                                      \
        sum += part;                                                           \
    }

inline float largest_of(__global const float *x, int columns, int inner)
{
    float m = x[0];
    for (int i = 1; i < columns; i++)
        m = x[AT(i)] > m || isnan(x[AT(i)]) ? x[AT(i)] : m;
    return m;
}

__kernel void softmax_forward(__global const float *x, __global float *y, int rows, int columns, int inner)
{
    int n = get_global_id(0);
    if (n >= rows)
        return;
    x += FIRST;
    y += FIRST;
    float m = largest_of(x, columns, inner), sum = 0.0f;
    SUM_OF(sum, y[AT(i)] = exp(x[AT(i)] - m); part += y[AT(i)];)
    for (int i = 0; i < columns; i++)
        y[AT(i)] = y[AT(i)] / sum;
}

__kernel void softmax_backward(__global const float *dy, __global const float *y, __global float *dx, int rows,
                               int columns, int inner)
{
    int n = get_global_id(0);
    if (n >= rows)
        return;
    dy += FIRST;
    y += FIRST;
    dx += FIRST;
    float sum = 0.0f;
    SUM_OF(sum, part += dy[AT(i)] * y[AT(i)];)
    for (int i = 0; i < columns; i++)
        dx[AT(i)] = y[AT(i)] * (dy[AT(i)] - sum);
}

__kernel void log_softmax_forward(__global const float *x, __global float *y, int rows, int columns, int inner)
{
    int n = get_global_id(0);
    if (n >= rows)
        return;
    x += FIRST;
    y += FIRST;
    float m = largest_of(x, columns, inner), sum = 0.0f;
    SUM_OF(sum, part += exp(x[AT(i)] - m);)
    float log_sum = log(sum);
    for (int i = 0; i < columns; i++)
        y[AT(i)] = x[AT(i)] - m - log_sum;
}

__kernel void log_softmax_backward(__global const float *dy, __global const float *y, __global float *dx, int rows,
                                   int columns, int inner)
{
    int n = get_global_id(0);
    if (n >= rows)
        return;
    dy += FIRST;
    y += FIRST;
    dx += FIRST;
    float sum = 0.0f;
    SUM_OF(sum, part += dy[AT(i)];)
    for (int i = 0; i < columns; i++)
        dx[AT(i)] = dy[AT(i)] - exp(y[AT(i)]) * sum;
}
