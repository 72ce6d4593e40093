/* Means, variances and what is done with them; see refcnn/reference/normalization.py. Build options:
   WIDTH      floats of a vector
   COLUMNS    columns of a row that a work-item does at most
   BY_COLUMN  1 if what belongs to a channel is told for each column of a row, 0 if a row is of one channel
   CENTRED    of normalise_rows: 1 if the mean is taken away, 0 if there is none, nor a bias
   MASKED     of gradients: 1 if dy is that of what was normalised and then kept within limits, which is computed anew to
              mask dy by; 0 if it is read as it is

   Statistics are the sum of some values and the sum of the squares of what they are off from their own mean. Those of
   parts, each read twice while it is in the cache, are merged (Chan, Golub and LeVeque, "Updating formulae and a
   pairwise algorithm for computing sample variances", 1979): no digits cancel, and x is read from memory once. */

#include "limits.cl"
#include "vectors.cl"

/* What x is normalised to, and dy where that passes it on, which is kept within limits then: of vectors and of numbers.
   Each operation is rounded by itself, so that the result is the same to the bit wherever it is computed. */
#define NORMALISING(TYPE, READ)                                                                                      \
    inline TYPE normalised_##READ(TYPE x, TYPE mean, TYPE factor, TYPE bias)                                         \
    {                                                                                                                \
        _Pragma("OPENCL FP_CONTRACT OFF")                                                                            \
        return (x - mean) * factor + bias;                                                                           \
    }                                                                                                                \
    inline TYPE passed_##READ(TYPE dy, TYPE z, float least, float most, int passes_least)                            \
    {                                                                                                                \
        return (passes_least ? z >= least : z > least) & (z <= most) ? dy : (TYPE)(0.0f);                            \
    }
NORMALISING(vector, VECTOR_OF)
NORMALISING(float, NUMBER_OF)

#if MASKED
#define PASSED(READ, dy, x, mean, factor, bias) \
    passed_##READ(dy, normalised_##READ(x, mean, factor, bias), least, most, passes_least)
#else
#define PASSED(READ, dy, x, mean, factor, bias) dy
#endif

/* A function that adds up a term of each of some values that lie beside each other. */
#define ADDING(NAME, ARGUMENTS, TERM)                                                           \
    inline float NAME ARGUMENTS                                                                 \
    {                                                                                           \
        vector total0 = 0.0f, total1 = 0.0f, total2 = 0.0f, total3 = 0.0f;                      \
        float rest = 0.0f;                                                                      \
        int i = 0;                                                                              \
        for (; i + 4 * WIDTH <= count; i += 4 * WIDTH) {                                        \
            total0 += TERM(VECTOR_OF, i);                                                       \
            total1 += TERM(VECTOR_OF, i + WIDTH);                                               \
            total2 += TERM(VECTOR_OF, i + 2 * WIDTH);                                           \
            total3 += TERM(VECTOR_OF, i + 3 * WIDTH);                                           \
        }                                                                                       \
        for (; i + WIDTH <= count; i += WIDTH)                                                  \
            total0 += TERM(VECTOR_OF, i);                                                       \
        for (; i < count; i++)                                                                  \
            rest += TERM(NUMBER_OF, i);                                                         \
        return added((total0 + total1) + (total2 + total3)) + rest;                             \
    }

#define ITSELF(READ, i) READ(x, i)
#define SQUARE(READ, i) ((READ(x, i) - mean) * (READ(x, i) - mean))
ADDING(sum_of, (__global const float *x, int count), ITSELF)
ADDING(squares_of, (__global const float *x, int count, float mean), SQUARE)

/* A function that adds up dy and dy (x - mean), or the like of what stands for dy; the former come first. */
#define ADDING_PRODUCTS(NAME, ARGUMENTS, OF_DY)                                                                      \
    inline float2 NAME ARGUMENTS                                                                                     \
    {                                                                                                                \
        vector sum0 = 0.0f, sum1 = 0.0f, product0 = 0.0f, product1 = 0.0f;                                           \
        float sum = 0.0f, product = 0.0f;                                                                            \
        int i = 0;                                                                                                   \
        for (; i + 2 * WIDTH <= count; i += 2 * WIDTH) {                                                             \
            ADD_PRODUCT(sum0, product0, OF_DY(VECTOR_OF, i), LOAD(x + i))                                            \
            ADD_PRODUCT(sum1, product1, OF_DY(VECTOR_OF, i + WIDTH), LOAD(x + i + WIDTH))                            \
        }                                                                                                            \
        for (; i + WIDTH <= count; i += WIDTH)                                                                       \
            ADD_PRODUCT(sum0, product0, OF_DY(VECTOR_OF, i), LOAD(x + i))                                            \
        for (; i < count; i++)                                                                                       \
            ADD_PRODUCT(sum, product, OF_DY(NUMBER_OF, i), x[i])                                                     \
        return (float2)(added(sum0 + sum1) + sum, added(product0 + product1) + product);                             \
    }
#define ADD_PRODUCT(sum, product, of_dy, of_x) \
    {                                          \
        sum += of_dy;                          \
        product += of_dy * (of_x - mean);      \
    }

#define UNSCALED(READ, i) READ(dy, i)
#define MASKED_DY(READ, i) PASSED(READ, READ(dy, i), READ(x, i), mean, factor, bias)
#define SCALED(READ, i) (READ(dy, i) * READ(scale, i))
ADDING_PRODUCTS(products_of, (__global const float *x, __global const float *dy, int count, float mean), UNSCALED)
ADDING_PRODUCTS(masked_products_of,
                (__global const float *x, __global const float *dy, int count, float mean, float factor, float bias,
                 float least, float most, int passes_least),
                MASKED_DY)
ADDING_PRODUCTS(scaled_products_of,
                (__global const float *x, __global const float *dy, __global const float *scale, int count, float mean),
                SCALED)

/* Statistics of each part of each row: a row of `length` values has `parts` of `part`, the last of them perhaps fewer.
   A work-item does `per_item` parts that lie beside each other. */
__kernel void row_statistics(__global const float *restrict x, __global float *restrict sums,
                             __global float *restrict squares, int rows, int length, int part, int parts, int per_item)
{
    const int first = get_global_id(0) * per_item, last = min(first + per_item, rows * parts);
    for (int p = first; p < last; p++) {
        const int begin = p % parts * part, count = min(part, length - begin);
        __global const float *values = x + (size_t)(p / parts) * length + begin;
        const float sum = sum_of(values, count);
        sums[p] = sum;
        squares[p] = squares_of(values, count, sum / count);
    }
}

/* Statistics of each column over each block of rows. A work-item does at most COLUMNS columns of a block. */
__kernel void column_statistics(__global const float *restrict x, __global float *restrict sums,
                                __global float *restrict squares, int rows, int length, int block)
{
    const int first = get_global_id(0) * COLUMNS, columns = min(COLUMNS, length - first);
    const int begin = get_global_id(1) * block, count = min(block, rows - begin);
    if (count <= 0)
        return;
    x += (size_t)begin * length + first;
    sums += (size_t)get_global_id(1) * length + first;
    squares += (size_t)get_global_id(1) * length + first;
    float sum[COLUMNS], mean[COLUMNS], square[COLUMNS];
    for (int c = 0; c < columns; c++)
        sum[c] = square[c] = 0.0f;
    // Two rows at once: what is added to is read and written half as often.
    for (int r = 0; r < count - 1; r += 2)
        for (int c = 0; c < columns; c++)
            sum[c] += x[r * length + c] + x[(r + 1) * length + c];
    if (count % 2 == 1)
        for (int c = 0; c < columns; c++)
            sum[c] += x[(count - 1) * length + c];
    for (int c = 0; c < columns; c++)
        mean[c] = sum[c] / count;
    for (int r = 0; r < count; r++)
        for (int c = 0; c < columns; c++) {
            const float difference = x[r * length + c] - mean[c];
            square[c] += difference * difference;
        }
    for (int c = 0; c < columns; c++) {
        sums[c] = sum[c];
        squares[c] = square[c];
    }
}

/* Merges the statistics of parts, an array (outer, channels, inner), for each channel and each `piece` of the outer
   axis. A part is of `outer_block` times `inner_block` values, of `outer_total` and `inner_total` in all; the last ones
   have what is left. */
__kernel void merge_statistics(__global const float *restrict sums, __global const float *restrict squares,
                               __global float *restrict merged_sums, __global float *restrict merged_squares,
                               int outer, int channels, int inner, int outer_block, int outer_total, int inner_block,
                               int inner_total, int piece, int pieces)
{
    const int place = get_global_id(0), c = place % channels, begin = place / channels * piece;
    const int end = min(begin + piece, outer);
    if (place >= pieces * channels)
        return;
    float sum = 0.0f, square = 0.0f;
    for (int o = begin; o < end; o++)
        for (int i = 0; i < inner; i++)
            sum += sums[(o * channels + c) * inner + i];
    const int rows = min(end * outer_block, outer_total) - begin * outer_block;
    const float mean = sum / ((float)rows * inner_total);
    for (int o = begin; o < end; o++)
        for (int i = 0; i < inner; i++) {
            const int p = (o * channels + c) * inner + i;
            const float count = (float)min(outer_block, outer_total - o * outer_block)
                * min(inner_block, inner_total - i * inner_block);
            const float difference = sums[p] / count - mean;
            square += squares[p] + difference * difference * count;
        }
    merged_sums[place] = sum;
    merged_squares[place] = square;
}

/* The sums of dy and of dy (x - mean) over each part of each row, as row_statistics; those of the latter come `behind`
   the others. */
__kernel void row_products(__global const float *restrict dy, __global const float *restrict x,
                           __global const float *restrict mean, __global const float *restrict factor,
                           __global const float *restrict bias, float least, float most, int passes_least,
                           __global float *restrict sums, int rows, int length, int channels, int part, int parts,
                           int per_item, int behind)
{
    const int first = get_global_id(0) * per_item, last = min(first + per_item, rows * parts);
    for (int p = first; p < last; p++) {
        const int begin = p % parts * part, count = min(part, length - begin), c = p / parts % channels;
        const size_t start = (size_t)(p / parts) * length + begin;
        const float2 totals = masked_products_of(x + start, dy + start, count, mean[c], MASKED ? factor[c] : 0.0f,
                                                 MASKED ? bias[c] : 0.0f, least, most, passes_least);
        sums[p] = totals.x;
        sums[behind + p] = totals.y;
    }
}

/* The same over blocks of rows for each column, as column_statistics; mean has a number for each column. */
__kernel void column_products(__global const float *restrict dy, __global const float *restrict x,
                              __global const float *restrict mean, __global const float *restrict factor,
                              __global const float *restrict bias, float least, float most, int passes_least,
                              __global float *restrict sums, int rows, int length, int block, int behind)
{
    const int first = get_global_id(0) * COLUMNS, columns = min(COLUMNS, length - first);
    const int begin = get_global_id(1) * block, count = min(block, rows - begin);
    if (count <= 0)
        return;
    x += (size_t)begin * length + first;
    dy += (size_t)begin * length + first;
    sums += (size_t)get_global_id(1) * length + first;
    float sum[COLUMNS], product[COLUMNS];
    for (int c = 0; c < columns; c++)
        sum[c] = product[c] = 0.0f;
    for (int r = 0; r < count; r++)
        for (int c = 0; c < columns; c++) {
            const float value = x[r * length + c], passed = PASSED(NUMBER_OF, dy[r * length + c], value,
                                                                  mean[first + c], factor[first + c], bias[first + c]);
            sum[c] += passed;
            product[c] += passed * (value - mean[first + c]);
        }
    for (int c = 0; c < columns; c++) {
        sums[c] = sum[c];
        sums[behind + c] = product[c];
    }
}

/* The mean and the variance of each channel, and what is kept of former batches. */
__kernel void batch_statistics(__global const float *restrict sums, __global const float *restrict squares,
                               __global const float *restrict mean, __global const float *restrict variance,
                               __global float *restrict batch_mean, __global float *restrict batch_variance,
                               __global float *restrict running_mean, __global float *restrict running_variance,
                               int channels, float count, float momentum, float share)
{
    const int c = get_global_id(0);
    if (c >= channels)
        return;
    batch_mean[c] = sums[c] / count;
    batch_variance[c] = squares[c] / count;
    running_mean[c] = momentum * mean[c] + share * batch_mean[c];
    running_variance[c] = momentum * variance[c] + share * batch_variance[c];
}

__kernel void factors(__global const float *restrict scale, __global const float *restrict variance,
                      __global float *restrict factor, int channels, float epsilon)
{
    const int c = get_global_id(0);
    if (c < channels)
        factor[c] = scale[c] / sqrt(variance[c] + epsilon);
}

/* What the kernels of a convolution with a bias b are multiplied by, and the bias that it has then, so that it gives
   (y - mean) factor + bias in the place of y. */
__kernel void fold(__global const float *restrict scale, __global const float *restrict bias,
                   __global const float *restrict mean, __global const float *restrict variance,
                   __global const float *restrict b, int has_bias, __global float *restrict factor,
                   __global float *restrict shift, int channels, float epsilon)
{
    const int c = get_global_id(0);
    if (c >= channels)
        return;
    factor[c] = scale[c] / sqrt(variance[c] + epsilon);
    shift[c] = ((has_bias ? b[c] : 0.0f) - mean[c]) * factor[c] + bias[c];
}

/* What the gradients of each channel are, and what dx is made of: slope dy + curve xhat + shift, where
   xhat = (x - mean) inverse. The sums of dy (x - mean) come behind those of dy. */
__kernel void batch_gradients(__global const float *restrict sums, __global const float *restrict scale,
                              __global const float *restrict variance, __global const float *restrict d_running_mean,
                              __global const float *restrict d_running_variance, __global float *restrict dscale,
                              __global float *restrict dbias, __global float *restrict d_mean,
                              __global float *restrict d_variance, __global float *restrict slope,
                              __global float *restrict curve, __global float *restrict shift,
                              __global float *restrict inverse, int channels, float count, float epsilon,
                              float momentum, float share, int training)
{
    const int c = get_global_id(0);
    if (c >= channels)
        return;
    const float deviation = sqrt(variance[c] + epsilon), product = sums[channels + c] / deviation;
    dbias[c] = sums[c];
    dscale[c] = product;
    inverse[c] = 1.0f / deviation;
    slope[c] = scale[c] / deviation;
    if (training) {
        curve[c] = 2.0f * (share * d_running_variance[c]) * deviation - slope[c] * (product / count);
        shift[c] = share * d_running_mean[c] - slope[c] * (sums[c] / count);
        d_mean[c] = momentum * d_running_mean[c];
        d_variance[c] = momentum * d_running_variance[c];
    } else {
        d_mean[c] = -(slope[c] * sums[c]);
        d_variance[c] = -(0.5f * slope[c] * product / deviation);
    }
}

/* Does something with each value i of this work-item, parts of rows that lie beside each other as in row_statistics;
   OF(array) is what belongs to its channel. */
#define EACH(DO)                                                                                        \
    const int first = get_global_id(0) * per_item, last = min(first + per_item, rows * parts);         \
    for (int p = first; p < last; p++) {                                                                \
        const int begin = p % parts * part, count = min(part, length - begin), row = p / parts;        \
        const int channel = BY_COLUMN ? begin : row % channels;                                         \
        const size_t start = (size_t)row * length + begin;                                              \
        for (int i = 0; i < count; i++) {                                                               \
            DO                                                                                          \
        }                                                                                               \
    }
#define OF(array) array[BY_COLUMN ? channel + i : channel]

__kernel void normalise(__global const float *restrict x, __global const float *restrict mean,
                        __global const float *restrict factor, __global const float *restrict bias,
                        float least, float most, __global float *restrict y, int rows, int length, int channels,
                        int part, int parts, int per_item)
{
    EACH(const float z = normalised_NUMBER_OF(x[start + i], OF(mean), OF(factor), OF(bias));
         y[start + i] = LIMITED(float, z, least, most);)
}

#define PASSED_HERE PASSED(NUMBER_OF, dy[start + i], x[start + i], OF(mean), OF(factor), OF(bias))

__kernel void gradient(__global const float *restrict dy, __global const float *restrict x,
                       __global const float *restrict mean, __global const float *restrict factor,
                       __global const float *restrict bias, float least, float most, int passes_least,
                       __global const float *restrict inverse,
                       __global const float *restrict slope, __global const float *restrict curve,
                       __global const float *restrict shift, __global float *restrict dx, int rows, int length,
                       int channels, int part, int parts, int per_item)
{
    EACH(dx[start + i] = OF(slope) * PASSED_HERE
             + (OF(curve) * ((x[start + i] - OF(mean)) * OF(inverse)) + OF(shift));)
}

__kernel void scaled(__global const float *restrict dy, __global const float *restrict slope,
                     __global float *restrict dx, int rows, int length, int channels, int part, int parts,
                     int per_item)
{
    EACH(dx[start + i] = OF(slope) * dy[start + i];)
}

/* Rows that are normalised each by itself, of `parts` times `length` values. With BY_COLUMN scale and bias have one
   number for each value of a row, which is one part then; else one for each channel, and parts are channels. */
#define AT (BY_COLUMN ? i : channel)

__kernel void normalise_rows(__global const float *restrict x, __global const float *restrict scale,
                             __global const float *restrict bias, __global float *restrict y,
                             __global float *restrict mean, __global float *restrict inverse, int rows, int parts,
                             int length, int channels, int per_item, float epsilon)
{
    const int first = get_global_id(0) * per_item, last = min(first + per_item, rows), values = parts * length;
    for (int row = first; row < last; row++) {
        __global const float *of_row = x + (size_t)row * values;
        const float centre = CENTRED ? sum_of(of_row, values) / values : 0.0f;
        const float factor = 1.0f / sqrt(squares_of(of_row, values, centre) / values + epsilon);
        mean[row] = centre;
        inverse[row] = factor;
        for (int p = row * parts; p < (row + 1) * parts; p++) {
            const int channel = p % channels;
            const size_t start = (size_t)p * length;
            for (int i = 0; i < length; i++) {
                const float xhat = (x[start + i] - centre) * factor;
                y[start + i] = CENTRED ? xhat * scale[AT] + bias[AT] : xhat * scale[AT];
            }
        }
    }
}

/* dx = (dxhat - mean(dxhat) - xhat mean(dxhat xhat)) inverse, where dxhat = scale dy, without mean(dxhat) if there is no
   mean. dscale and dbias are those of each part, or with BY_COLUMN of all rows of a work-item. */
__kernel void normalise_rows_backward(__global const float *restrict dy, __global const float *restrict x,
                                      __global const float *restrict scale, __global const float *restrict mean,
                                      __global const float *restrict inverse, __global float *restrict dx,
                                      __global float *restrict dscale, __global float *restrict dbias, int rows,
                                      int parts, int length, int channels, int per_item)
{
    const int first = get_global_id(0) * per_item, last = min(first + per_item, rows);
    if (first >= rows)
        return;
#if BY_COLUMN
    dscale += (size_t)get_global_id(0) * length;
    dbias += (size_t)get_global_id(0) * length;
    for (int i = 0; i < length; i++)
        dscale[i] = dbias[i] = 0.0f;
#endif
    for (int row = first; row < last; row++) {
        const float centre = mean[row], factor = inverse[row];
        float sum = 0.0f, product = 0.0f;
        for (int p = row * parts; p < (row + 1) * parts; p++) {
            const size_t start = (size_t)p * length;
#if BY_COLUMN
            const float2 totals = scaled_products_of(x + start, dy + start, scale, length, centre);
            sum = totals.x;
            product = totals.y * factor;
#else
            const float2 totals = products_of(x + start, dy + start, length, centre);
            dbias[p] = totals.x;
            dscale[p] = totals.y * factor;
            sum += scale[p % channels] * dbias[p];
            product += scale[p % channels] * dscale[p];
#endif
        }
        sum = CENTRED ? sum / (parts * length) : 0.0f;
        product = product / (parts * length);
        for (int p = row * parts; p < (row + 1) * parts; p++) {
            const int channel = p % channels;
            const size_t start = (size_t)p * length;
            for (int i = 0; i < length; i++) {
                const float xhat = (x[start + i] - centre) * factor;
                dx[start + i] = (scale[AT] * dy[start + i] - sum - xhat * product) * factor;
#if BY_COLUMN
                dscale[i] += dy[start + i] * xhat;
                dbias[i] += dy[start + i];
#endif
            }
        }
    }
}
