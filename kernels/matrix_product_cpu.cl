// Matrix products for CPU cores: one work-item, alone in its work-group, computes blocks that stay in registers.
//
// Build options: WIDTH floats of a vector; ROWS x VECTORS accumulators of `product`, which adds up TERMS at a time, from a
// copy of its columns if it is PACKED; DOT_ROWS x DOT_COLUMNS accumulators of `dot`.

#include "limits.cl"
#include "transpose.cl"

#if WIDTH == 16
typedef float16 vector;
#elif WIDTH == 8
typedef float8 vector;
#else
typedef float4 vector;
#endif
// Read and written through this type rather than by vloadn, which PoCL 3.0 turns into scalar loads.
typedef vector unaligned_vector __attribute__((aligned(4)));
typedef float8 unaligned_eight __attribute__((aligned(4)));

#define LOAD(pointer) (*(__global const unaligned_vector *)(pointer))
#define COLUMNS (VECTORS * WIDTH)
// Sums are stored, or added to those of the terms before.
#define STORE(type, unaligned, pointer, value)                                                                   \
    do {                                                                                                         \
        __global unaligned *const place_ = (__global unaligned *)(pointer);                                      \
        type value_ = value;                                                                                     \
        if (!begins)                                                                                             \
            value_ += *place_;                                                                                   \
        *place_ = LIMITED(type, value_, lowest, highest);                                                        \
    } while (0)

// c[row, place] = bias[row] + sum over terms t of a[row, t] b[offsets[t] + place], for each group and image, within
// the limits `least` and `most`.
//
// Places are counted along an image whose rows are `pitch` apart; place = i pitch + j goes to the pixel
// (i step_y + base_y, j step_x + base_x) of c, if that lies in the row. The terms are cut into chunks, each of which
// writes a c of its own.
// Dimension 0: blocks of columns over all images; 1: shares of the rows; 2: groups x chunks.
__kernel void product(
    __global const float *restrict a, int a_group, int a_block, int a_row, int a_term,
    __global const float *restrict b, int b_start, int b_group, int b_image,
    __global const int *restrict offsets, __global const float *restrict bias, int has_bias, float least, float most,
    __global float *restrict c, int c_chunk, int c_group, int c_image, int c_row, int c_y, int c_x,
    int rows, int rows_per_item, int first_term, int terms, int terms_per_chunk, int chunks,
    int images, int first_place, int places, int pitch,
    int step_y, int base_y, int step_x, int base_x, int width)
{
    const int group = get_group_id(2) / chunks;
    const int chunk = get_group_id(2) % chunks;
    const int vectors_per_image = (places + WIDTH - 1) / WIDTH;
    const int first_vector = get_group_id(0) * VECTORS;
    if (first_vector >= vectors_per_image * images)
        return;

    __global const float *columns[VECTORS];
    int destination[COLUMNS];
    int whole[VECTORS];
    for (int v = 0; v < VECTORS; v++) {
        const int number = first_vector + v;
        const int image = min(number / vectors_per_image, images - 1);
        const int start = (number % vectors_per_image) * WIDTH;
        // The last vector of an image is moved back over its neighbour, so as not to read beyond the image.
        const int moved = max(min(start, places - WIDTH), 0);
        columns[v] = b + b_start + group * b_group + image * b_image + first_place + moved;
        whole[v] = 1;
        // Counted on from lane to lane: in small products divisions would take as long as the sums.
        int i = (first_place + moved) / pitch, j = (first_place + moved) % pitch;
        for (int lane = 0; lane < WIDTH; lane++, j++) {
            if (j == pitch) {
                j = 0;
                i++;
            }
            const int y = i * step_y + base_y, x = j * step_x + base_x;
            const int wanted = moved + lane >= start && moved + lane < places && number < vectors_per_image * images
                && x >= 0 && x < width;
            destination[v * WIDTH + lane] = wanted ? image * c_image + y * c_y + x * c_x : -1;
            whole[v] &= wanted && destination[v * WIDTH + lane] == destination[v * WIDTH] + lane;
        }
    }

    c += chunk * c_chunk + group * c_group;
    const int begin = first_term + chunk * terms_per_chunk;
    const int end = min(begin + terms_per_chunk, first_term + terms);
    const int row_begin = get_group_id(1) * rows_per_item;
    const int row_end = min(row_begin + rows_per_item, rows);
#ifdef PACKED
    vector panel[TERMS * VECTORS];
#endif
    int first = begin;
    do {
        const int last = min(first + TERMS, end);
        const int begins = first == begin, ends = last == end;
        const float lowest = ends ? least : -INFINITY, highest = ends ? most : INFINITY;
#ifdef PACKED
        for (int t = first; t < last; t++) {
            const int offset = offsets[t];
            #pragma unroll
            for (int v = 0; v < VECTORS; v++)
                panel[(t - first) * VECTORS + v] = LOAD(columns[v] + offset);
        }
#endif
        for (int block = row_begin; block < row_end; block += ROWS) {
            // Likewise the last block of rows; rows done before are computed again but not stored again.
            const int row = min(block, rows - ROWS);
            vector sum[ROWS][VECTORS];
            #pragma unroll
            for (int r = 0; r < ROWS; r++) {
                const float initial = begins && has_bias ? bias[group * rows + row + r] : 0.0f;
                #pragma unroll
                for (int v = 0; v < VECTORS; v++)
                    sum[r][v] = (vector)(initial);
            }
            __global const float *restrict factors =
                a + group * a_group + (a_block ? block / ROWS * a_block : row * a_row) + first * a_term;
            for (int t = first; t < last; t++) {
                vector terms_of_b[VECTORS];
#ifdef PACKED
                #pragma unroll
                for (int v = 0; v < VECTORS; v++)
                    terms_of_b[v] = panel[(t - first) * VECTORS + v];
#else
                const int offset = offsets[t];
                #pragma unroll
                for (int v = 0; v < VECTORS; v++)
                    terms_of_b[v] = LOAD(columns[v] + offset);
#endif
                #pragma unroll
                for (int r = 0; r < ROWS; r++) {
#ifdef ADJACENT_ROWS
                    const float factor = factors[r];
#else
                    const float factor = factors[r * a_row];
#endif
                    #pragma unroll
                    for (int v = 0; v < VECTORS; v++)
                        sum[r][v] += factor * terms_of_b[v];
                }
                factors += a_term;
            }

            // A copy, as what is indexed by a variable is kept in memory.
            vector tile[ROWS][VECTORS];
            #pragma unroll
            for (int r = 0; r < ROWS; r++)
                #pragma unroll
                for (int v = 0; v < VECTORS; v++)
                    tile[r][v] = sum[r][v];
            const float *lanes = (const float *)tile;
            const int skip = block - row;
#if ROWS == 8 && WIDTH >= 8
            if (c_row == 1 && skip == 0) {
                for (int first_column = 0; first_column < COLUMNS; first_column += 8) {
                    float8 square[8];
                    #pragma unroll
                    for (int r = 0; r < 8; r++)
                        square[r] = *(const unaligned_eight *)(lanes + r * COLUMNS + first_column);
                    transpose(square);
                    #pragma unroll
                    for (int column = 0; column < 8; column++)
                        if (destination[first_column + column] >= 0)
                            STORE(float8, unaligned_eight, c + destination[first_column + column] + row, square[column]);
                }
                continue;
            }
#endif
            if (c_row == 1) {
                for (int column = 0; column < COLUMNS; column++)
                    if (destination[column] >= 0)
                        for (int r = skip; r < ROWS; r++)
                            STORE(float, float, c + destination[column] + row + r, lanes[r * COLUMNS + column]);
                continue;
            }
            for (int r = skip; r < ROWS; r++) {
                __global float *target = c + (row + r) * c_row;
                for (int v = 0; v < VECTORS; v++) {
                    if (whole[v]) {
                        STORE(vector, unaligned_vector, target + destination[v * WIDTH], tile[r][v]);
                        continue;
                    }
                    for (int column = v * WIDTH; column < (v + 1) * WIDTH; column++)
                        if (destination[column] >= 0)
                            STORE(float, float, target + destination[column], lanes[r * COLUMNS + column]);
                }
            }
        }
        first = last;
    } while (first < end);
}

// packed[group, block, term, r] = factor[group factor_group + sources[term] + row factor_row], row being the r-th of the
// block; the last block begins early enough to be whole.
// Dimension 0: blocks; 1: shares of the terms; 2: groups.
__kernel void pack_factor(
    __global const float *restrict factor, __global const int *restrict sources, __global float *restrict packed,
    int factor_group, int factor_row, int rows, int terms, int terms_per_item, int blocks)
{
    const int block = get_group_id(0), group = get_group_id(2);
    const int begin = get_group_id(1) * terms_per_item, end = min(begin + terms_per_item, terms);
    factor += group * factor_group + min(block * ROWS, rows - ROWS) * factor_row;
    packed += (group * blocks + block) * terms * ROWS;
    for (int term = begin; term < end; term++) {
        #pragma unroll
        for (int r = 0; r < ROWS; r++)
#ifdef ADJACENT_ROWS
            packed[term * ROWS + r] = factor[sources[term] + r];
#else
            packed[term * ROWS + r] = factor[sources[term] + r * factor_row];
#endif
    }
}

inline float sum_of_lanes(vector value)
{
#if WIDTH == 16
    const float8 half_ = value.lo + value.hi;
    const float4 quarter = half_.lo + half_.hi;
#elif WIDTH == 8
    const float4 quarter = value.lo + value.hi;
#else
    const float4 quarter = value;
#endif
    const float2 pair = quarter.lo + quarter.hi;
    return pair.x + pair.y;
}

// c[chunk, group, row, column] = sum over the chunk's images and over places of
//                                a[row, place] b[offsets[column] + place].
//
// a is zero from the last place on up to a whole vector.
// Dimension 0: blocks of columns; 1: blocks of rows; 2: groups x chunks.
__kernel void dot_product(
    __global const float *restrict a, int a_start, int a_group, int a_image, int a_row,
    __global const float *restrict b, int b_group, int b_image,
    __global const int *restrict offsets, __global float *restrict c,
    int groups, int rows, int columns, int images, int images_per_chunk, int places)
{
    const int group = get_group_id(2) % groups;
    const int chunk = get_group_id(2) / groups;
    const int row = get_group_id(1) * DOT_ROWS;
    const int column = get_group_id(0) * DOT_COLUMNS;
    if (row >= rows || column >= columns)
        return;

    vector sum[DOT_ROWS][DOT_COLUMNS];
    #pragma unroll
    for (int r = 0; r < DOT_ROWS; r++)
        #pragma unroll
        for (int s = 0; s < DOT_COLUMNS; s++)
            sum[r][s] = (vector)(0.0f);
    const int begin = chunk * images_per_chunk;
    const int end = min(begin + images_per_chunk, images);
    for (int image = begin; image < end; image++) {
        __global const float *left[DOT_ROWS];
        __global const float *right[DOT_COLUMNS];
        #pragma unroll
        for (int r = 0; r < DOT_ROWS; r++)
            left[r] = a + a_start + group * a_group + image * a_image + min(row + r, rows - 1) * a_row;
        #pragma unroll
        for (int s = 0; s < DOT_COLUMNS; s++)
            right[s] = b + group * b_group + image * b_image + offsets[min(column + s, columns - 1)];
        for (int place = 0; place < places; place += WIDTH) {
            vector of_a[DOT_ROWS];
            #pragma unroll
            for (int r = 0; r < DOT_ROWS; r++)
                of_a[r] = LOAD(left[r] + place);
            #pragma unroll
            for (int s = 0; s < DOT_COLUMNS; s++) {
                const vector of_b = LOAD(right[s] + place);
                #pragma unroll
                for (int r = 0; r < DOT_ROWS; r++)
                    sum[r][s] += of_a[r] * of_b;
            }
        }
    }
    c += (chunk * groups + group) * rows * columns;
    #pragma unroll
    for (int r = 0; r < DOT_ROWS; r++)
        #pragma unroll
        for (int s = 0; s < DOT_COLUMNS; s++)
            if (row + r < rows && column + s < columns)
                c[(row + r) * columns + column + s] = sum_of_lanes(sum[r][s]);
}
