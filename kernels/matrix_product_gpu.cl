// Matrix products for GPUs: a work-group computes a block of c, for which it brings tiles of both factors into local
// memory. The arguments are those of matrix_product_cpu.cl, but for how dot_product cuts its sum.
//
// While a tile is multiplied the next one is on its way from memory to registers. With two buffers it is then stored
// beside the tile that slower work-items still read, so that one barrier for each tile is enough.
//
// Build options: GROUP_X x GROUP_Y work-items of a group; ROWS x COLUMNS accumulators of a work-item, multiples of 4;
// TERMS, the terms of a tile, which divide the work-items; BUFFERS, 1 or 2; SUM_TERMS, a multiple of TERMS. The
// work-items are a multiple or a divisor of the rows and of the columns of a tile. With ADJACENT_ROWS, rows of a lie next
// to each other in memory, else terms.
//
// SUM_TERMS are added one after the other, and their sum to those before in c, so that errors of long sums grow slowly.

#include "limits.cl"

#define ITEMS (GROUP_X * GROUP_Y)
#define TILE_ROWS (GROUP_Y * ROWS)
#define TILE_COLUMNS (GROUP_X * COLUMNS)
// From one term of a tile to the next. Neighbours that store terms of one row would else meet in one bank.
#define LEFT_PITCH (TILE_ROWS + 4)
#define RIGHT_PITCH (TILE_COLUMNS + 4)
// Elements of each tile that a work-item reads.
#define LEFT_READS (TERMS * TILE_ROWS / ITEMS)
#define RIGHT_READS (TERMS * TILE_COLUMNS / ITEMS)
// Those that lie next to each other are read by neighbours: either the terms of a row or column, ...
#define TERM_ALONG_TERMS (item % TERMS)
#define LINE_ALONG_TERMS(read) (item / TERMS + (read) * (ITEMS / TERMS))
// ... or those of a term.
#define TERM_ALONG_LINES(read, lines) ((item + (read) * ITEMS) / (lines))
#define LINE_ALONG_LINES(read, lines) ((item + (read) * ITEMS) % (lines))
// The columns among them, where neighbours read columns.
#define READ_COLUMNS (TILE_COLUMNS > ITEMS ? TILE_COLUMNS / ITEMS : 1)

// Of a work-item's rows and columns four lie next to each other and are read at once. The next four are those of all
// other work-items further, so that neighbours read next to each other.
#define ROW_OF_ITEM(r) (((r) / 4 * GROUP_Y + get_local_id(1)) * 4 + (r) % 4)
#define COLUMN_OF_ITEM(s) (((s) / 4 * GROUP_X + get_local_id(0)) * 4 + (s) % 4)

// Some compilers make one instruction of a product and a sum only where they are told to.
#ifdef FP_FAST_FMAF
#define ADD_PRODUCT(sum, x, y) fma(x, y, sum)
#else
#define ADD_PRODUCT(sum, x, y) ((sum) + (x) * (y))
#endif

// Leaves a buffer to those who store the next tile.
#if BUFFERS == 1
#define FREE_BUFFER(buffer) barrier(CLK_LOCAL_MEM_FENCE);
#else
#define FREE_BUFFER(buffer) buffer = 1 - buffer;
#endif

// Adds the products of two tiles to a work-item's block.
inline void add_tile(float sum[ROWS][COLUMNS], __local const float *left, __local const float *right)
{
#pragma unroll
    for (int t = 0; t < TERMS; t++) {
        float of_left[ROWS], of_right[COLUMNS];
#pragma unroll
        for (int r = 0; r < ROWS; r += 4) {
            const float4 four = *(__local const float4 *)(left + t * LEFT_PITCH + ROW_OF_ITEM(r));
            of_left[r] = four.s0;
            of_left[r + 1] = four.s1;
            of_left[r + 2] = four.s2;
            of_left[r + 3] = four.s3;
        }
#pragma unroll
        for (int s = 0; s < COLUMNS; s += 4) {
            const float4 four = *(__local const float4 *)(right + t * RIGHT_PITCH + COLUMN_OF_ITEM(s));
            of_right[s] = four.s0;
            of_right[s + 1] = four.s1;
            of_right[s + 2] = four.s2;
            of_right[s + 3] = four.s3;
        }
#pragma unroll
        for (int r = 0; r < ROWS; r++)
#pragma unroll
            for (int s = 0; s < COLUMNS; s++)
                sum[r][s] = ADD_PRODUCT(sum[r][s], of_left[r], of_right[s]);
    }
}

// of_left: what a work-item reads of the tile of a that begins with a term. Rows beyond the last one are read as if they
// were that; what comes of them is not stored. Beyond the last term there are zeros.
inline void read_left(
    float of_left[LEFT_READS], __global const float *restrict a, int a_row, int a_term, int first_row, int rows,
    int tile, int end, int item)
{
#pragma unroll
    for (int k = 0; k < LEFT_READS; k++) {
#ifdef ADJACENT_ROWS
        const int term = tile + TERM_ALONG_LINES(k, TILE_ROWS), line = LINE_ALONG_LINES(k, TILE_ROWS);
#else
        const int term = tile + TERM_ALONG_TERMS, line = LINE_ALONG_TERMS(k);
#endif
        of_left[k] = term < end ? a[min(first_row + line, rows - 1) * a_row + term * a_term] : 0.0f;
    }
}

inline void store_left(__local float *left, const float of_left[LEFT_READS], int item)
{
#pragma unroll
    for (int k = 0; k < LEFT_READS; k++)
#ifdef ADJACENT_ROWS
        left[TERM_ALONG_LINES(k, TILE_ROWS) * LEFT_PITCH + LINE_ALONG_LINES(k, TILE_ROWS)] = of_left[k];
#else
        left[TERM_ALONG_TERMS * LEFT_PITCH + LINE_ALONG_TERMS(k)] = of_left[k];
#endif
}

// of_right: the same of b, each of whose columns begins at column_at.
inline void read_right(
    float of_right[RIGHT_READS], __global const float *restrict b, __global const int *restrict offsets,
    const int column_at[READ_COLUMNS], int tile, int end, int item)
{
#pragma unroll
    for (int k = 0; k < RIGHT_READS; k++) {
        const int term = tile + TERM_ALONG_LINES(k, TILE_COLUMNS);
        of_right[k] = term < end ? b[offsets[term] + column_at[k % READ_COLUMNS]] : 0.0f;
    }
}

inline void store_right(__local float *right, const float of_right[RIGHT_READS], int item)
{
#pragma unroll
    for (int k = 0; k < RIGHT_READS; k++)
        right[TERM_ALONG_LINES(k, TILE_COLUMNS) * RIGHT_PITCH + LINE_ALONG_LINES(k, TILE_COLUMNS)] = of_right[k];
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
    __local float left[BUFFERS][TERMS * LEFT_PITCH] __attribute__((aligned(16)));
    __local float right[BUFFERS][TERMS * RIGHT_PITCH] __attribute__((aligned(16)));
    const int group = get_group_id(2) / chunks, chunk = get_group_id(2) % chunks;
    const int item = get_local_id(1) * GROUP_X + get_local_id(0);
    const int first_column = get_group_id(0) * TILE_COLUMNS, first_row = get_group_id(1) * TILE_ROWS;
    a += group * a_group;
    b += b_start + group * b_group;

    // Columns beyond the last one are read as if they were that, too.
    int column_at[READ_COLUMNS];
#pragma unroll
    for (int k = 0; k < READ_COLUMNS; k++) {
        const int column = min(first_column + LINE_ALONG_LINES(k, TILE_COLUMNS), places * images - 1);
        column_at[k] = column / places * b_image + first_place + column % places;
    }
    float sum[ROWS][COLUMNS];
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        const int row = min(first_row + (int)ROW_OF_ITEM(r), rows - 1);
        const float first = has_bias ? bias[group * rows + row] : 0.0f;
#pragma unroll
        for (int s = 0; s < COLUMNS; s++)
            sum[r][s] = first;
    }
    c += chunk * c_chunk + group * c_group;
    const int begin = first_term + chunk * terms_per_chunk;
    const int end = min(begin + terms_per_chunk, first_term + terms);
    float of_left[LEFT_READS], of_right[RIGHT_READS];
    read_left(of_left, a, a_row, a_term, first_row, rows, begin, end, item);
    read_right(of_right, b, offsets, column_at, begin, end, item);
    int buffer = 0, tile = begin;
    // Where there is no term, zeros are added to the bias.
    do {
        store_left(left[buffer], of_left, item);
        store_right(right[buffer], of_right, item);
        barrier(CLK_LOCAL_MEM_FENCE);
        read_left(of_left, a, a_row, a_term, first_row, rows, tile + TERMS, end, item);
        read_right(of_right, b, offsets, column_at, tile + TERMS, end, item);
        add_tile(sum, left[buffer], right[buffer]);
        FREE_BUFFER(buffer)
        tile += TERMS;
        const int is_first = tile - begin <= SUM_TERMS, is_last = tile >= end;
        if (!is_last && (tile - begin) % SUM_TERMS)
            continue;
#pragma unroll
        for (int s = 0; s < COLUMNS; s++) {
            const int column = first_column + COLUMN_OF_ITEM(s);
            const int image = column / places, place = first_place + column % places;
            const int y = place / pitch * step_y + base_y, x = place % pitch * step_x + base_x;
            const int is_inside = image < images && x >= 0 && x < width;
            const int at = image * c_image + y * c_y + x * c_x;
#pragma unroll
            for (int r = 0; r < ROWS; r++) {
                const int row = first_row + ROW_OF_ITEM(r);
                if (is_inside && row < rows) {
                    const float value = is_first ? sum[r][s] : c[at + row * c_row] + sum[r][s];
                    c[at + row * c_row] = is_last ? LIMITED(float, value, least, most) : value;
                }
                sum[r][s] = 0.0f;
            }
        }
    } while (tile < end);
}

// of_lines: what a work-item reads of a tile of either factor of dot_product, whose lines begin at line_at: one place of
// each, or zero behind the last term.
inline void read_places(
    float *of_lines, int reads, __global const float *restrict factor, const int *line_at, int place, int is_inside)
{
#pragma unroll
    for (int k = 0; k < reads; k++)
        of_lines[k] = is_inside ? factor[line_at[k] + place] : 0.0f;
}

inline void store_places(__local float *lines, int pitch, int reads, const float *of_lines, int item)
{
#pragma unroll
    for (int k = 0; k < reads; k++)
        lines[TERM_ALONG_TERMS * pitch + LINE_ALONG_TERMS(k)] = of_lines[k];
}

// c[chunk, group, row, column] = sum over the chunk's terms, which are the places of all images, of
//                                a[row, place] b[offsets[column] + place].
__kernel __attribute__((reqd_work_group_size(GROUP_X, GROUP_Y, 1)))
void dot_product(
    __global const float *restrict a, int a_start, int a_group, int a_image, int a_row,
    __global const float *restrict b, int b_group, int b_image,
    __global const int *restrict offsets, __global float *restrict c,
    int groups, int rows, int columns, int images, int places, int terms_per_chunk)
{
    __local float left[BUFFERS][TERMS * LEFT_PITCH] __attribute__((aligned(16)));
    __local float right[BUFFERS][TERMS * RIGHT_PITCH] __attribute__((aligned(16)));
    const int group = get_group_id(2) % groups, chunk = get_group_id(2) / groups;
    const int item = get_local_id(1) * GROUP_X + get_local_id(0);
    const int first_column = get_group_id(0) * TILE_COLUMNS, first_row = get_group_id(1) * TILE_ROWS;
    a += a_start + group * a_group;
    b += group * b_group;

    int row_at[LEFT_READS], column_at[RIGHT_READS];
#pragma unroll
    for (int k = 0; k < LEFT_READS; k++)
        row_at[k] = min(first_row + LINE_ALONG_TERMS(k), rows - 1) * a_row;
#pragma unroll
    for (int k = 0; k < RIGHT_READS; k++)
        column_at[k] = offsets[min(first_column + LINE_ALONG_TERMS(k), columns - 1)];
    float sum[ROWS][COLUMNS];
#pragma unroll
    for (int r = 0; r < ROWS; r++)
#pragma unroll
        for (int s = 0; s < COLUMNS; s++)
            sum[r][s] = 0.0f;
    const int begin = chunk * terms_per_chunk, end = min(begin + terms_per_chunk, images * places);
    // The term that this work-item reads next.
    int term = begin + TERM_ALONG_TERMS, image = term / places, place = term % places;
    float of_left[LEFT_READS], of_right[RIGHT_READS];
    read_places(of_left, LEFT_READS, a + image * a_image, row_at, place, term < end);
    read_places(of_right, RIGHT_READS, b + image * b_image, column_at, place, term < end);
    c += (chunk * groups + group) * rows * columns;
    int buffer = 0, tile = begin;
    do {
        store_places(left[buffer], LEFT_PITCH, LEFT_READS, of_left, item);
        store_places(right[buffer], RIGHT_PITCH, RIGHT_READS, of_right, item);
        barrier(CLK_LOCAL_MEM_FENCE);
        term += TERMS;
        place += TERMS;
        if (place >= places) {
            image += place / places;
            place %= places;
        }
        read_places(of_left, LEFT_READS, a + image * a_image, row_at, place, term < end);
        read_places(of_right, RIGHT_READS, b + image * b_image, column_at, place, term < end);
        add_tile(sum, left[buffer], right[buffer]);
        FREE_BUFFER(buffer)
        tile += TERMS;
        const int is_first = tile - begin <= SUM_TERMS, is_last = tile >= end;
        if (!is_last && (tile - begin) % SUM_TERMS)
            continue;
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            const int row = first_row + ROW_OF_ITEM(r);
#pragma unroll
            for (int s = 0; s < COLUMNS; s++) {
                const int column = first_column + COLUMN_OF_ITEM(s), at = row * columns + column;
                if (row < rows && column < columns)
                    c[at] = is_first ? sum[r][s] : c[at] + sum[r][s];
                sum[r][s] = 0.0f;
            }
        }
    } while (tile < end);
}
