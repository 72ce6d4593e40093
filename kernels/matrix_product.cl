// Small helpers of the matrix products: they rearrange factors and add up partial sums.
//
// Build options of `sum_chunks`: RESULTS x PARTS work-items of a group, where there is more than one part.

#include "limits.cl"

#ifndef PARTS
#define PARTS 1
#endif

// packed[group, row, term] = factor[group factor_group + sources[term] + row factor_row]
__kernel void pack_factor(
    __global const float *factor, __global const int *sources, __global float *packed,
    int factor_group, int factor_row, int rows, int terms, int groups)
{
    const int term = get_global_id(0), row = get_global_id(1), group = get_global_id(2);
    if (term < terms && row < rows && group < groups)
        packed[(group * rows + row) * terms + term] = factor[group * factor_group + sources[term] + row * factor_row];
}

// copy[row, column] = matrix[row row_stride + column column_stride], with zeros up to the copy's wider rows
__kernel void copy_matrix(
    __global const float *matrix, __global float *copy,
    int rows, int columns, int row_stride, int column_stride, int copy_columns)
{
    const int column = get_global_id(0), row = get_global_id(1);
    if (row < rows && column < copy_columns)
        copy[row * copy_columns + column] = column < columns ? matrix[row * row_stride + column * column_stride] : 0.0f;
}

// total[i] = bias[i / bias_run % biases] + sum over chunks of partial[chunk, i], within the limits `least` and `most`.
//
// Where there are many chunks, PARTS work-items of a group add up every PARTS-th for each of RESULTS results.
// Dimension 0: results; 1: parts.
__kernel void sum_chunks(
    __global const float *restrict partial, __global const float *restrict bias, int has_bias, int biases, int bias_run,
    float least, float most, __global float *restrict total, int chunks, int count)
{
    const int i = get_global_id(0), part = get_local_id(1);
    float sum = 0.0f;
    if (i < count) {
#pragma unroll 4
        for (int chunk = part; chunk < chunks; chunk += PARTS)
            sum += partial[chunk * count + i];
    }
#if PARTS > 1
    __local float sums[PARTS][RESULTS];
    sums[part][get_local_id(0)] = sum;
    barrier(CLK_LOCAL_MEM_FENCE);
    sum = 0.0f;
    for (int other = 0; other < PARTS; other++)
        sum += sums[other][get_local_id(0)];
#endif
    if (i >= count || part > 0)
        return;
    if (has_bias)
        sum += bias[i / bias_run % biases];
    total[i] = LIMITED(float, sum, least, most);
}
