/* Cross entropy of the softmax of logits; see refcnn/reference/softmax_cross_entropy.py. */

/* Terms that are added one after the other, at most. */
#define TERMS 1024

/* t times a value; a target of 0 takes no part, even of a value that is not finite. */
float weighted(float t, float value)
{
    return t == 0.0f ? 0.0f : t * value;
}

/* One work-item a row: log p, the terms of the loss, and their sum over the row. */
__kernel void softmax_cross_entropy_forward(__global const float *x, __global const float *t, __global float *log_p,
                                            __global float *loss, __global float *row_sum, int rows, int columns)
{
    int n = get_global_id(0);
    if (n >= rows)
        return;
    size_t first = (size_t)n * columns;
    float m = x[first];
    for (int i = 1; i < columns; i++)
        m = x[first + i] > m || isnan(x[first + i]) ? x[first + i] : m;
    float sum = 0.0f;
    for (int begin = 0; begin < columns; begin += TERMS) {
        float part = 0.0f;
        for (int i = begin; i < begin + min(TERMS, columns - begin); i++)
            part += exp(x[first + i] - m);
        sum += part;
    }
    float log_sum = log(sum), total = 0.0f;
    for (int begin = 0; begin < columns; begin += TERMS) {
        float part = 0.0f;
        for (int i = begin; i < begin + min(TERMS, columns - begin); i++) {
            float value = x[first + i] - m - log_sum;
            log_p[first + i] = value;
            loss[first + i] = weighted(-t[first + i], value);
            part += loss[first + i];
        }
        total += part;
    }
    row_sum[n] = total;
}

/* One work-item in all: the mean over the batch, in one fixed order, of blocks that keep the error of a long sum small.
 */
__kernel void softmax_cross_entropy_mean(__global const float *row_sum, __global float *mean, int rows)
{
    float sum = 0.0f;
    for (int first = 0; first < rows; first += TERMS) {
        float part = 0.0f;
        for (int n = first; n < first + min(TERMS, rows - first); n++)
            part += row_sum[n];
        sum += part;
    }
    mean[0] = sum / rows;
}

/* What reaches one term of the loss: its own dy, or its share of the mean's. */
float share(__global const float *dy, size_t place, int rows, int reduce_sum)
{
    return reduce_sum ? dy[0] / rows : dy[place];
}

__kernel void softmax_cross_entropy_backward_x(__global const float *dy, __global const float *log_p,
                                               __global const float *t, __global float *dx,
                                               int rows, int columns, int reduce_sum)
{
    int n = get_global_id(0);
    if (n >= rows)
        return;
    size_t first = (size_t)n * columns;
    int takes_part = 0;
    float sum = 0.0f;
    for (int i = 0; i < columns; i++) {
        takes_part |= t[first + i] != 0.0f;
        sum += weighted(t[first + i], share(dy, first + i, rows, reduce_sum));
    }
    for (int i = 0; i < columns; i++) {
        float own = weighted(t[first + i], share(dy, first + i, rows, reduce_sum));
        dx[first + i] = takes_part ? exp(log_p[first + i]) * sum - own : 0.0f;
    }
}

__kernel void softmax_cross_entropy_backward_t(__global const float *dy, __global const float *log_p,
                                               __global const float *t, __global float *dt,
                                               int rows, int columns, int reduce_sum)
{
    int i = get_global_id(0);
    if (i < rows * columns)
        dt[i] = isfinite(log_p[i]) || t[i] != 0.0f ? -share(dy, i, rows, reduce_sum) * log_p[i] : 0.0f;
}
