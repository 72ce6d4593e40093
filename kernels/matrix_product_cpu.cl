// Matrix products for CPU cores: one work-item, alone in its work-group, computes blocks that stay in registers.
//
// Build options: WIDTH floats of a vector; ROWS x VECTORS accumulators; TERMS that are added up at a time, by `product`
// from a copy of its columns if it is PACKED.

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
typedef float4 unaligned_four __attribute__((aligned(4)));

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
// The same of `count` lanes of a row of sums, and on to those after them.
#define STORE_LANES(count, type, unaligned)                                                                          {                                                                                                                    STORE(type, unaligned, target + column, *(const unaligned *)(of_row + column));                                  column += count;                                                                                             }

// c[row, place] = bias[row] + sum over terms t of a[row, t] b[offsets[t] + place], for each group and image, within
// the limits `least` and `most`.
//
// Places are counted along an image whose rows are `pitch` apart; place = i pitch + j goes to the pixel
// (i step_y + base_y, j step_x + base_x) of c, if that lies in the row. After plane_rows of its rows another image
// follows. The terms are cut into chunks, each of which writes a c of its own.
// Dimension 0: blocks of columns over all images; 1: shares of the rows; 2: groups x chunks.
__kernel void product(
    __global const float *restrict a, int a_group, int a_block, int a_row, int a_term,
    __global const float *restrict b, int b_start, int b_group, int b_image,
    __global const int *restrict offsets, __global const float *restrict bias, int has_bias, float least, float most,
    __global float *restrict c, int c_chunk, int c_group, int c_image, int c_row, int c_y, int c_x,
    int rows, int rows_per_item, int first_term, int terms, int terms_per_chunk, int chunks,
    int images, int first_place, int places, int pitch, int plane_rows,
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
    for (int v = 0; v < VECTORS; v++) {
        const int number = first_vector + v;
        int image = min(number / vectors_per_image, images - 1);
        const int start = (number % vectors_per_image) * WIDTH;
        // The last vector of an image is moved back over its neighbour, so as not to read beyond the image.
        const int moved = max(min(start, places - WIDTH), 0);
        columns[v] = b + b_start + group * b_group + image * b_image + first_place + moved;
        // Counted on from lane to lane: in small products divisions would take as long as the sums.
        int i = (first_place + moved) / pitch, j = (first_place + moved) % pitch;
        image += i / plane_rows;
        i %= plane_rows;
        for (int lane = 0; lane < WIDTH; lane++, j++) {
            if (j == pitch) {
                j = 0;
                if (++i == plane_rows) {
                    i = 0;
                    image++;
                }
            }
            const int y = i * step_y + base_y, x = j * step_x + base_x;
            const int wanted = moved + lane >= start && moved + lane < places && number < vectors_per_image * images
                && x >= 0 && x < width;
            destination[v * WIDTH + lane] = wanted ? image * c_image + y * c_y + x * c_x : -1;
        }
    }
    // Columns next to each other that go to places next to each other.
    int runs = 0, run_begin[COLUMNS], run_end[COLUMNS];
    for (int column = 0; column < COLUMNS; column++) {
        if (destination[column] < 0)
            continue;
        if (runs > 0 && run_end[runs - 1] == column && destination[column] == destination[column - 1] + 1) {
            run_end[runs - 1]++;
            continue;
        }
        run_begin[runs] = column;
        run_end[runs++] = column + 1;
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
            if (runs > COLUMNS / 4) {
                for (int r = skip; r < ROWS; r++)
                    for (int column = 0; column < COLUMNS; column++)
                        if (destination[column] >= 0)
                            STORE(
                                float, float, c + (row + r) * c_row + destination[column], lanes[r * COLUMNS + column]);
                continue;
            }
            for (int r = skip; r < ROWS; r++)
                for (int run = 0; run < runs; run++) {
                    const int end = run_end[run];
                    int column = run_begin[run];
                    const float *of_row = lanes + r * COLUMNS;
                    __global float *target = c + (row + r) * c_row + destination[column] - column;
                    while (column + WIDTH <= end)
                        STORE_LANES(WIDTH, vector, unaligned_vector)
#if WIDTH > 8
                    if (column + 8 <= end)
                        STORE_LANES(8, float8, unaligned_eight)
#endif
#if WIDTH > 4
                    if (column + 4 <= end)
                        STORE_LANES(4, float4, unaligned_four)
#endif
                    while (column < end)
                        STORE_LANES(1, float, float)
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

#if WIDTH == 16
#define TRANSPOSE transpose_16
#elif WIDTH == 8
#define TRANSPOSE transpose
#else
inline void transpose_4(vector *row)
{
    const vector a = row[0], b = row[1], c = row[2], d = row[3];
    row[0] = (vector)(a.s0, b.s0, c.s0, d.s0);
    row[1] = (vector)(a.s1, b.s1, c.s1, d.s1);
    row[2] = (vector)(a.s2, b.s2, c.s2, d.s2);
    row[3] = (vector)(a.s3, b.s3, c.s3, d.s3);
}
#define TRANSPOSE transpose_4
#endif

// panel[m VECTORS] = of the columns, from whose lines it takes an element each, those that lie m further, for m below
// count.
inline void read_columns(__global const float *restrict const *columns, int count, vector *panel)
{
    if (count < WIDTH) {
        for (int m = 0; m < count; m++) {
            float lanes[WIDTH];
            #pragma unroll
            for (int lane = 0; lane < WIDTH; lane++)
                lanes[lane] = columns[lane][m];
            panel[m * VECTORS] = *(const unaligned_vector *)lanes;
        }
        return;
    }
    for (int m = 0; m < count; m += WIDTH) {
        // The last ones are read together with some before them, so as not to read beyond what is there.
        const int first = min(m, count - WIDTH);
        vector square[WIDTH];
        #pragma unroll
        for (int lane = 0; lane < WIDTH; lane++)
            square[lane] = LOAD(columns[lane] + first);
        TRANSPOSE(square);
        #pragma unroll
        for (int i = 0; i < WIDTH; i++)
            panel[(first + i) * VECTORS] = square[i];
    }
}

// c[chunk, group, row, column] = sum over the chunk's terms of a[row, place] b[offsets[column] + place].
//
// A term is a place of an image. Columns are read along their lines and turned: those of TERMS terms serve all rows. With
// ADJACENT_ROWS, a is as pack_factor makes it, in blocks of rows that are a_block apart.
// Dimension 0: blocks of columns; 1: shares of the rows; 2: groups x chunks.
__kernel void dot_product(
    __global const float *restrict a, int a_start, int a_group, int a_image, int a_row, int a_block,
    __global const float *restrict b, int b_group, int b_image,
    __global const int *restrict offsets, __global float *restrict c,
    int groups, int rows, int rows_per_item, int columns, int images, int places, int terms_per_chunk)
{
    const int group = get_group_id(2) % groups;
    const int chunk = get_group_id(2) / groups;
    const int first_column = get_group_id(0) * COLUMNS;
    const int row_begin = get_group_id(1) * rows_per_item;
    const int row_end = min(row_begin + rows_per_item, rows);
    if (first_column >= columns || row_begin >= rows)
        return;
    a += a_start + group * a_group;
    b += group * b_group;
    c += (chunk * groups + group) * rows * columns;

    vector panel[TERMS * VECTORS];
    const int begin = chunk * terms_per_chunk, end = min(begin + terms_per_chunk, images * places);
    for (int first = begin; first < end; first += TERMS) {
        const int last = min(first + TERMS, end);
        for (int term = first; term < last;) {
            const int image = term / places, place = term % places, count = min(places - place, last - term);
            #pragma unroll
            for (int v = 0; v < VECTORS; v++) {
                __global const float *restrict lines[WIDTH];
                for (int lane = 0; lane < WIDTH; lane++)
                    lines[lane] =
                        b + image * b_image + offsets[min(first_column + v * WIDTH + lane, columns - 1)] + place;
                read_columns(lines, count, panel + (term - first) * VECTORS + v);
            }
            term += count;
        }
        for (int block = row_begin; block < row_end; block += ROWS) {
            // The last rows are computed together with some before them, which are not stored again.
            const int row = min(block, rows - ROWS);
            vector sum[ROWS][VECTORS];
            #pragma unroll
            for (int r = 0; r < ROWS; r++)
                #pragma unroll
                for (int v = 0; v < VECTORS; v++)
                    sum[r][v] = (vector)(0.0f);
            const vector *restrict terms_of_b = panel;
#ifdef ADJACENT_ROWS
            __global const float *restrict factors = a + block / ROWS * a_block + first * ROWS;
            for (int term = first; term < last; term++, factors += ROWS, terms_of_b += VECTORS)
                #pragma unroll
                for (int r = 0; r < ROWS; r++) {
                    const float factor = factors[r];
                    #pragma unroll
                    for (int v = 0; v < VECTORS; v++)
                        sum[r][v] += factor * terms_of_b[v];
                }
#else
            for (int term = first; term < last;) {
                const int image = term / places, place = term % places, count = min(places - place, last - term);
                __global const float *restrict factors = a + image * a_image + row * a_row + place;
                for (int m = 0; m < count; m++, terms_of_b += VECTORS)
                    #pragma unroll
                    for (int r = 0; r < ROWS; r++) {
                        const float factor = factors[r * a_row + m];
                        #pragma unroll
                        for (int v = 0; v < VECTORS; v++)
                            sum[r][v] += factor * terms_of_b[v];
                    }
                term += count;
            }
#endif
            #pragma unroll
            for (int r = 0; r < ROWS; r++) {
                if (row + r < block)
                    continue;
                __global float *target = c + (row + r) * columns + first_column;
                #pragma unroll
                for (int v = 0; v < VECTORS; v++) {
                    if (first_column + (v + 1) * WIDTH <= columns) {
                        __global unaligned_vector *const place = (__global unaligned_vector *)(target + v * WIDTH);
                        *place = first > begin ? *place + sum[r][v] : sum[r][v];
                        continue;
                    }
                    float lanes[WIDTH];
                    *(unaligned_vector *)lanes = sum[r][v];
                    for (int lane = 0; lane < columns - first_column - v * WIDTH; lane++)
                        target[v * WIDTH + lane] =
                            first > begin ? target[v * WIDTH + lane] + lanes[lane] : lanes[lane];
                }
            }
        }
    }
}
