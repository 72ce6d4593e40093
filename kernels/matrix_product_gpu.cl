// Matrix products for GPUs: a work-group computes a block of c, for which it brings tiles of both factors into local
// memory. The arguments are those of matrix_product_cpu.cl.
//
// Build options: GROUP_X x GROUP_Y work-items of a group; ROWS x COLUMNS accumulators of a work-item; TILE_TERMS
// terms of a tile. The work-items are a multiple of TILE_TERMS and of the columns of a tile.

#include "limits.cl"

#define ITEMS (GROUP_X * GROUP_Y)
#define TILE_ROWS (GROUP_Y * ROWS)
#define TILE_COLUMNS (GROUP_X * COLUMNS)

// Adds the products of two tiles to a work-item's block. Its rows are GROUP_Y apart and its columns GROUP_X, so that
// neighbours read and write next to each other.
inline void add_tile(
    float sum[ROWS][COLUMNS], __local float left[TILE_TERMS][TILE_ROWS + 1],
    __local float right[TILE_TERMS][TILE_COLUMNS + 1])
{
    for (int t = 0; t < TILE_TERMS; t++) {
        float factor[COLUMNS];
        for (int s = 0; s < COLUMNS; s++)
            factor[s] = right[t][get_local_id(0) + s * GROUP_X];
        for (int r = 0; r < ROWS; r++) {
            const float of_left = left[t][get_local_id(1) + r * GROUP_Y];
            for (int s = 0; s < COLUMNS; s++)
                sum[r][s] += of_left * factor[s];
        }
    }
}

__kernel __attribute__((reqd_work_group_size(GROUP_X, GROUP_Y, 1)))
void product(
    __global const float *restrict a, int a_group, int a_row, int a_term,
    __global const float *restrict b, int b_start, int b_group, int b_image,
    __global const int *restrict offsets, __global const float *restrict bias, int has_bias, float least, float most,
    __global float *restrict c, int c_chunk, int c_group, int c_image, int c_row, int c_y, int c_x,
    int rows, int rows_per_item, int first_term, int terms, int terms_per_chunk, int chunks,
    int images, int first_place, int places, int pitch,
    int step_y, int base_y, int step_x, int base_x, int width)
{
    __local float left[TILE_TERMS][TILE_ROWS + 1];
    __local float right[TILE_TERMS][TILE_COLUMNS + 1];
    const int group = get_group_id(2) / chunks, chunk = get_group_id(2) % chunks;
    const int item = get_local_id(1) * GROUP_X + get_local_id(0);
    const int first_column = get_group_id(0) * TILE_COLUMNS, first_row = get_group_id(1) * TILE_ROWS;

    // The column that this work-item reads of b.
    const int read_column = min(first_column + item % TILE_COLUMNS, places * images - 1);
    b += b_start + group * b_group + read_column / places * b_image + first_place + read_column % places;
    a += group * a_group;

    float sum[ROWS][COLUMNS];
    for (int r = 0; r < ROWS; r++) {
        const int row = first_row + get_local_id(1) + r * GROUP_Y;
        for (int s = 0; s < COLUMNS; s++)
            sum[r][s] = has_bias && row < rows ? bias[group * rows + row] : 0.0f;
    }
    const int begin = first_term + chunk * terms_per_chunk;
    const int end = min(begin + terms_per_chunk, first_term + terms);
    for (int tile = begin; tile < end; tile += TILE_TERMS) {
        for (int e = item; e < TILE_TERMS * TILE_ROWS; e += ITEMS) {
#ifdef ADJACENT_ROWS
            const int t = e / TILE_ROWS, r = e % TILE_ROWS;
#else
            const int t = e % TILE_TERMS, r = e / TILE_TERMS;
#endif
            left[t][r] = tile + t < end && first_row + r < rows
                ? a[(first_row + r) * a_row + (tile + t) * a_term] : 0.0f;
        }
        for (int t = item / TILE_COLUMNS; t < TILE_TERMS; t += ITEMS / TILE_COLUMNS)
            right[t][item % TILE_COLUMNS] = tile + t < end ? b[offsets[tile + t]] : 0.0f;
        barrier(CLK_LOCAL_MEM_FENCE);
        add_tile(sum, left, right);
        barrier(CLK_LOCAL_MEM_FENCE);
    }

    c += chunk * c_chunk + group * c_group;
    for (int s = 0; s < COLUMNS; s++) {
        const int column = first_column + get_local_id(0) + s * GROUP_X;
        const int image = column / places, place = first_place + column % places;
        const int y = place / pitch * step_y + base_y, x = place % pitch * step_x + base_x;
        if (image >= images || x < 0 || x >= width)
            continue;
        for (int r = 0; r < ROWS; r++) {
            const int row = first_row + get_local_id(1) + r * GROUP_Y;
            if (row < rows)
                c[image * c_image + row * c_row + y * c_y + x * c_x] = LIMITED(float, sum[r][s], least, most);
        }
    }
}

__kernel __attribute__((reqd_work_group_size(GROUP_X, GROUP_Y, 1)))
void dot_product(
    __global const float *restrict a, int a_start, int a_group, int a_image, int a_row,
    __global const float *restrict b, int b_group, int b_image,
    __global const int *restrict offsets, __global float *restrict c,
    int groups, int rows, int columns, int images, int images_per_chunk, int places)
{
    __local float left[TILE_TERMS][TILE_ROWS + 1];
    __local float right[TILE_TERMS][TILE_COLUMNS + 1];
    const int group = get_group_id(2) % groups, chunk = get_group_id(2) / groups;
    const int item = get_local_id(1) * GROUP_X + get_local_id(0);
    const int first_column = get_group_id(0) * TILE_COLUMNS, first_row = get_group_id(1) * TILE_ROWS;
    const int t = item % TILE_TERMS;
    a += a_start + group * a_group;
    b += group * b_group;

    float sum[ROWS][COLUMNS];
    for (int r = 0; r < ROWS; r++)
        for (int s = 0; s < COLUMNS; s++)
            sum[r][s] = 0.0f;
    const int end = min((chunk + 1) * images_per_chunk, images);
    for (int image = chunk * images_per_chunk; image < end; image++)
        for (int tile = 0; tile < places; tile += TILE_TERMS) {
            const int inside = tile + t < places;
            for (int r = item / TILE_TERMS; r < TILE_ROWS; r += ITEMS / TILE_TERMS)
                left[t][r] = inside && first_row + r < rows
                    ? a[image * a_image + (first_row + r) * a_row + tile + t] : 0.0f;
            for (int s = item / TILE_TERMS; s < TILE_COLUMNS; s += ITEMS / TILE_TERMS)
                right[t][s] = inside && first_column + s < columns
                    ? b[image * b_image + offsets[first_column + s] + tile + t] : 0.0f;
            barrier(CLK_LOCAL_MEM_FENCE);
            add_tile(sum, left, right);
            barrier(CLK_LOCAL_MEM_FENCE);
        }

    c += (chunk * groups + group) * rows * columns;
    for (int r = 0; r < ROWS; r++) {
        const int row = first_row + get_local_id(1) + r * GROUP_Y;
        for (int s = 0; s < COLUMNS; s++) {
            const int column = first_column + get_local_id(0) + s * GROUP_X;
            if (row < rows && column < columns)
                c[row * columns + column] = sum[r][s];
        }
    }
}
