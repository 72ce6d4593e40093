// Small helpers of the matrix products: they rearrange factors and add up partial sums.

#include "limits.cl"

// packed[group, block, term, r] = factor[group factor_group + sources[term] + row factor_row], row being the r-th of the
// block; the last block begins early enough to be whole.
__kernel void pack_factor(
    __global const float *factor, __global const int *sources, __global float *packed,
    int factor_group, int factor_row, int rows, int terms, int groups, int block_rows, int blocks)
{
    const int term = get_global_id(0), block = get_global_id(1) / block_rows, r = get_global_id(1) % block_rows;
    const int group = get_global_id(2), row = min(block * block_rows, rows - block_rows) + r;
    if (term < terms && block < blocks && group < groups)
        packed[((group * blocks + block) * terms + term) * block_rows + r] =
            factor[group * factor_group + sources[term] + row * factor_row];
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
__kernel void sum_chunks(
    __global const float *partial, __global const float *bias, int has_bias, int biases, int bias_run,
    float least, float most, __global float *total, int chunks, int count)
{
    const int i = get_global_id(0);
    if (i >= count)
        return;
    float sum = 0.0f;
    for (int chunk = 0; chunk < chunks; chunk++)
        sum += partial[chunk * count + i];
    if (has_bias)
        sum += bias[i / bias_run % biases];
    total[i] = LIMITED(float, sum, least, most);
}
