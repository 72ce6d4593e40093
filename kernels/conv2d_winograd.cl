// Convolution with 3x3 kernels, stride 1, by Winograd's algorithm F(TILE x TILE, 3x3), for CPU cores.
//
// A tile of TILE x TILE outputs is A'[(G w G') o (B'd B)]A, of an input tile d of EDGE x EDGE pixels, EDGE = TILE + 2;
// the products of all tiles and channels at one of the EDGE^2 positions are a matrix product. winograd.cl tells the
// source, and the points to which the matrices belong.
//
// A work-item, alone in its work-group, takes one strip of tiles after the other, from transform to inverse transform,
// so that what lies between them stays in its core's cache. Lanes of vectors are channels: images are transposed in
// registers, WIDTH pixels of WIDTH channels at a time.
//
// Build options: those of winograd.cl.

#include "limits.cl"
#include "winograd.cl"

// planes[lane][m] = pixels[m][lane], or 0 where `is_masked` and mask[lane][m] is not above 0, for m below count.
inline void write_pixels(
    __global const vector *restrict pixels, int count, int lanes, int plane_size, __global float *restrict planes,
    int is_masked, __global const float *restrict mask)
{
    if (count < WIDTH) {
        for (int lane = 0; lane < lanes; lane++)
            for (int m = 0; m < count; m++) {
                const int place = lane * plane_size + m;
                const float pixel = ((__global const float *)pixels)[m * WIDTH + lane];
                planes[place] = is_masked && mask[place] <= 0.0f ? 0.0f : pixel;
            }
        return;
    }
    for (int m = 0; m < count; m += WIDTH) {
        const int first = min(m, count - WIDTH);
        vector row[WIDTH];
        #pragma unroll
        for (int i = 0; i < WIDTH; i++)
            row[i] = pixels[first + i];
        TRANSPOSE(row);
        #pragma unroll
        for (int lane = 0; lane < WIDTH; lane++) {
            if (lane >= lanes)
                continue;
            const int place = lane * plane_size + first;
            if (is_masked)
                row[lane] = *(__global const unaligned_vector *)(mask + place) <= 0.0f ? (vector)(0.0f) : row[lane];
            *(__global unaligned_vector *)(planes + place) = row[lane];
        }
    }
}

// planes[lane][m] = codes[m][lane] as a byte, for m below count.
inline void write_codes(
    __global const vector *restrict codes, int count, int lanes, int plane_size, __global uchar *restrict planes)
{
    if (count < WIDTH) {
        for (int lane = 0; lane < lanes; lane++)
            for (int m = 0; m < count; m++)
                planes[lane * plane_size + m] = (uchar)((__global const float *)codes)[m * WIDTH + lane];
        return;
    }
    for (int m = 0; m < count; m += WIDTH) {
        const int first = min(m, count - WIDTH);
        vector row[WIDTH];
        #pragma unroll
        for (int i = 0; i < WIDTH; i++)
            row[i] = codes[first + i];
        TRANSPOSE(row);
        #pragma unroll
        for (int lane = 0; lane < WIDTH; lane++)
            if (lane < lanes)
                *(__global unaligned_bytes *)(planes + lane * plane_size + first) = CONVERT_BYTES(row[lane]);
    }
}

// The first TILE of m become A'm.
inline void transform_products(vector *m)
{
#if TILE == 4
    const vector sum_12 = m[1] + m[2], difference_12 = m[1] - m[2];
    const vector sum_34 = m[3] + m[4], difference_34 = m[3] - m[4];
    m[0] = m[0] + (sum_12 + sum_34);
    m[1] = 0.625f * difference_12 + 1.5f * difference_34;
    m[2] = 0.390625f * sum_12 + 2.25f * sum_34;
    m[3] = 0.244140625f * difference_12 + (3.375f * difference_34 + m[5]);
#else
    const vector sum_12 = m[1] + m[2], difference_12 = m[1] - m[2];
    m[0] = m[0] + sum_12;
    m[1] = difference_12 - m[3];
#endif
}

// g, of three, becomes G g, of EDGE.
inline void transform_kernel(vector *g)
{
#if TILE == 4
    const vector last = (32.0f / 119.0f) * g[2];
    const vector even = (-2048.0f / 2975.0f) * g[0] - last, odd = (-256.0f / 595.0f) * g[1];
    const vector far_even = (128.0f / 1071.0f) * g[0] + last, far_odd = (64.0f / 357.0f) * g[1];
    g[5] = g[2];
    g[0] = (256.0f / 225.0f) * g[0];
    g[1] = even + odd;
    g[2] = even - odd;
    g[3] = far_even + far_odd;
    g[4] = far_even - far_odd;
#else
    const vector outer = g[0] + g[2], middle = g[1];
    g[3] = g[2];
    g[1] = 0.5f * (outer + middle);
    g[2] = 0.5f * (outer - middle);
#endif
}

// u[group, block, position, input, lane] = (G w G')[position] for output block * BLOCK + lane, 0 past the last output.
//
// Of w, an output's kernels are w_output elements apart, an input's w_input, a group's w_group; `rotate` reads the
// taps from last to first.
// Dimension 0: groups x blocks; 1: shares of the inputs.
__kernel void transform_weights(
    __global const float *restrict w, __global vector *restrict u, int groups, int blocks, int outputs, int inputs,
    int inputs_per_item, int w_group, int w_output, int w_input, int rotate)
{
    const int group = get_group_id(0) / blocks, block = get_group_id(0) % blocks;
    if (group >= groups)
        return;
    w += group * w_group;
    u += (size_t)get_group_id(0) * POSITIONS * inputs * VECTORS;
    const int begin = get_group_id(1) * inputs_per_item, end = min(begin + inputs_per_item, inputs);
    for (int input = begin; input < end; input++)
        for (int part = 0; part < VECTORS; part++) {
            float lanes[9][WIDTH];
            for (int lane = 0; lane < WIDTH; lane++) {
                const int output = block * BLOCK + part * WIDTH + lane;
                for (int tap = 0; tap < 9; tap++)
                    lanes[tap][lane] =
                        output < outputs ? w[output * w_output + input * w_input + (rotate ? 8 - tap : tap)] : 0.0f;
            }
            vector rows[3][EDGE];
            #pragma unroll
            for (int p = 0; p < 3; p++) {
                #pragma unroll
                for (int q = 0; q < 3; q++)
                    rows[p][q] = *(const unaligned_vector *)lanes[p * 3 + q];
                transform_kernel(rows[p]);
            }
            #pragma unroll
            for (int j = 0; j < EDGE; j++) {
                vector column[EDGE];
                #pragma unroll
                for (int p = 0; p < 3; p++)
                    column[p] = rows[p][j];
                transform_kernel(column);
                #pragma unroll
                for (int i = 0; i < EDGE; i++)
                    u[((i * EDGE + j) * inputs + input) * VECTORS + part] = column[i];
            }
        }
}

// sum[r] += v[r, lane] u[part], for the tiles r below ROWS.
#define ADD_INPUT(ROWS, lane, u)                                                                                \
    _Pragma("unroll") for (int r = 0; r < ROWS; r++) {                                                          \
        const float pixel = v[r * WIDTH + lane];                                                                \
        _Pragma("unroll") for (int part = 0; part < VECTORS; part++)                                            \
            sum[r][part] = add_product(sum[r][part], pixel, (u)[part]);                                         \
    }

// Inputs, a multiple of WIDTH, that are summed apart and then added, so that the error grows with their number and that
// of the parts rather than with the product.
#define PART 32

// m[r, part] = sum over inputs of v[input / WIDTH, r, input % WIDTH] u[input, part], for the tiles r below ROWS;
// v_vector tiles lie between the vectors of inputs.
#define DEFINE_PRODUCT(ROWS)                                                                                     \
    inline void product_##ROWS(                                                                                  \
        __global const float *restrict v, int v_vector, __global const vector *restrict u, int inputs,           \
        __global vector *restrict m)                                                                             \
    {                                                                                                            \
        for (int first = 0; first < inputs; first += PART) {                                                     \
            const int part_inputs = min(inputs - first, PART);                                                   \
            vector sum[ROWS][VECTORS];                                                                           \
            _Pragma("unroll") for (int r = 0; r < ROWS; r++)                                                     \
                _Pragma("unroll") for (int part = 0; part < VECTORS; part++) sum[r][part] = (vector)(0.0f);      \
            int input = 0;                                                                                       \
            for (; input + WIDTH <= part_inputs; input += WIDTH, v += v_vector * WIDTH, u += WIDTH * VECTORS)    \
                _Pragma("unroll") for (int lane = 0; lane < WIDTH; lane++) {                                     \
                    ADD_INPUT(ROWS, lane, u + lane * VECTORS)                                                    \
                }                                                                                                \
            for (int lane = 0; input + lane < part_inputs; lane++)                                               \
                ADD_INPUT(ROWS, lane, u + lane * VECTORS)                                                        \
            _Pragma("unroll") for (int r = 0; r < ROWS; r++)                                                     \
                _Pragma("unroll") for (int part = 0; part < VECTORS; part++)                                     \
                    m[r * VECTORS + part] = first > 0 ? m[r * VECTORS + part] + sum[r][part] : sum[r][part];     \
        }                                                                                                        \
    }
DEFINE_PRODUCT(1)
DEFINE_PRODUCT(2)
DEFINE_PRODUCT(3)
DEFINE_PRODUCT(4)
DEFINE_PRODUCT(5)
DEFINE_PRODUCT(6)
DEFINE_PRODUCT(7)
DEFINE_PRODUCT(8)

// The products of all tiles of a strip at one position and for one block of outputs, up to 8 tiles at a time.
inline void multiply(
    __global const float *restrict v, int v_vector, __global const vector *restrict u, int inputs,
    __global vector *restrict m, int tiles)
{
    int parts = (tiles + 7) / 8;
    for (int tile = 0; tile < tiles; parts--) {
        const int rows = (tiles - tile + parts - 1) / parts;
        switch (rows) {
        case 8: product_8(v, v_vector, u, inputs, m); break;
        case 7: product_7(v, v_vector, u, inputs, m); break;
        case 6: product_6(v, v_vector, u, inputs, m); break;
        case 5: product_5(v, v_vector, u, inputs, m); break;
        case 4: product_4(v, v_vector, u, inputs, m); break;
        case 3: product_3(v, v_vector, u, inputs, m); break;
        case 2: product_2(v, v_vector, u, inputs, m); break;
        default: product_1(v, v_vector, u, inputs, m);
        }
        tile += rows;
        v += rows * WIDTH;
        m += rows * VECTORS;
    }
}

// y, TILE x TILE outputs of one tile, = A'M A + bias, within the limits `least` and `most`.
inline void transform_tile(
    __global const vector *restrict m, int m_position, vector bias, float least, float most,
    vector y[TILE][TILE])
{
    vector columns[EDGE][EDGE];
    #pragma unroll
    for (int j = 0; j < EDGE; j++) {
        #pragma unroll
        for (int i = 0; i < EDGE; i++)
            columns[j][i] = m[(i * EDGE + j) * m_position];
        transform_products(columns[j]);
    }
    #pragma unroll
    for (int i = 0; i < TILE; i++) {
        vector of_row[EDGE];
        #pragma unroll
        for (int j = 0; j < EDGE; j++)
            of_row[j] = columns[j][i];
        transform_products(of_row);
        #pragma unroll
        for (int j = 0; j < TILE; j++) {
            const vector sum = of_row[j] + bias;
            y[i][j] = LIMITED(vector, sum, least, most);
        }
    }
}

// larger = the first of a and b that is NaN, or else the larger of them, the first if they are equal; code likewise.
#define LARGER(a, code_a, b, code_b, larger, code)                   \
    {                                                                \
        const choice is_b = (b > a) | ((b != b) & (a == a));         \
        code = is_b ? code_b : code_a;                               \
        larger = is_b ? b : a;                                       \
    }

// The maximum of a window of 2x2 outputs, whose first is tile[i][j], and its code, as `convolve` tells them.
inline void pool_window(vector tile[TILE][TILE], int i, int j, __global vector *largest, __global vector *code)
{
    vector above, below, all, above_code, below_code, all_code;
    LARGER(tile[i][j], (vector)(0.0f), tile[i][j + 1], (vector)(1.0f), above, above_code)
    LARGER(tile[i + 1][j], (vector)(2.0f), tile[i + 1][j + 1], (vector)(3.0f), below, below_code)
    LARGER(above, above_code, below, below_code, all, all_code)
    *largest = all;
    *code = all <= 0.0f ? (vector)(255.0f) : all_code;
}

// y[image, output] = bias[output] + sum over the inputs of its group of x[image, input] correlated with w, read from
// u as transform_weights made it.
//
// It is kept within the limits `least` and `most`, and becomes 0 where `kept`, of the shape of y, is not above 0 if
// `has_kept`. With `pool`, y is instead the maxima of windows of 2x2 outputs side by side, and `winner` tells which
// pixel of its window each is, row by row, or 255 where it is not above 0 (and that must be `least`). With
// `is_unpooled`, x is the gradient of such maxima, x_winner their winner, and the convolution one of the gradient of
// what was pooled.
//
// A strip is strip_rows x strip_columns tiles of strip_images images. scratch_item vectors of scratch belong to each
// work-item: v_size for B'd B, m_size for the products of one block of outputs, the rest for pixels.
// Dimension 0: work-items, which share the units of work evenly; a unit is a strip for one group and one of `shares`
// of its blocks of outputs.
__kernel void convolve(
    __global const float *restrict x, int is_unpooled, __global const uchar *restrict x_winner,
    __global const vector *restrict u, __global const float *restrict bias, int has_bias, float least, float most,
    __global const float *restrict kept, int has_kept, __global float *restrict y, int pool,
    __global uchar *restrict winner, __global vector *restrict scratch, int scratch_item, int v_size, int m_size,
    int items, int images, int groups, int inputs, int outputs, int height, int width, int out_h, int out_w, int top,
    int left, int tile_rows, int tile_columns, int strip_images, int strip_rows, int strip_columns, int blocks,
    int shares)
{
    const int item = get_group_id(0);
    if (item >= items)
        return;
    __global vector *restrict v = scratch + (size_t)item * scratch_item;
    __global vector *restrict m = v + v_size;
    __global vector *restrict pixels = m + m_size;

    const int v_vectors = (inputs + WIDTH - 1) / WIDTH;
    const int capacity = strip_images * strip_rows * strip_columns;
    // Lest all positions fall on the same lines of cache.
    const int v_position = capacity * v_vectors + 1, m_position = (capacity + 1) * VECTORS;
    const int down = (tile_rows + strip_rows - 1) / strip_rows;
    const int across = (tile_columns + strip_columns - 1) / strip_columns;
    const int units = (images + strip_images - 1) / strip_images * down * across * groups * shares;
    const int x_plane = is_unpooled ? (height / 2) * (width / 2) : height * width;
    const int stored_h = pool ? out_h / 2 : out_h, stored_w = pool ? out_w / 2 : out_w;
    const int side = pool ? TILE / 2 : TILE;

    const int unit_end = (int)((long)units * (item + 1) / items);
    for (int unit = (int)((long)units * item / items); unit < unit_end; unit++) {
        int rest = unit;
        const int share = rest % shares;
        rest /= shares;
        const int group = rest % groups;
        rest /= groups;
        const int first_column = rest % across * strip_columns;
        rest /= across;
        const int first_row = rest % down * strip_rows;
        const int first_image = rest / down * strip_images;
        const int of_images = min(strip_images, images - first_image);
        const int rows = min(strip_rows, tile_rows - first_row);
        const int columns = min(strip_columns, tile_columns - first_column);
        const int tiles_of_image = rows * columns, tiles = of_images * tiles_of_image;

        for (int image = 0; image < of_images; image++)
            for (int c = 0; c < v_vectors; c++) {
                const int place = (((first_image + image) * groups + group) * inputs + c * WIDTH) * x_plane;
                transform_image(
                    x + place, is_unpooled, x_winner + place, min(inputs - c * WIDTH, WIDTH), height, width,
                    first_row * TILE - top, first_column * TILE - left, EDGE, rows, columns, pixels,
                    v + c * capacity + image * tiles_of_image, 1, v_position);
            }

        // What this strip stores.
        const int i_begin = first_row * side, i_end = min(i_begin + rows * side, stored_h);
        const int j_begin = first_column * side, j_end = min(j_begin + columns * side, stored_w);
        const int pitch = j_end - j_begin;
        const int is_whole = pitch == stored_w;
        const int runs = is_whole ? 1 : i_end - i_begin, run = is_whole ? (i_end - i_begin) * pitch : pitch;
        __global vector *codes = pixels + strip_rows * side * strip_columns * side;

        for (int block = share * blocks / shares; block < (share + 1) * blocks / shares; block++) {
            for (int position = 0; position < POSITIONS; position++)
                multiply(
                    (__global const float *)(v + position * v_position), capacity,
                    u + ((size_t)(group * blocks + block) * POSITIONS + position) * inputs * VECTORS, inputs,
                    m + position * m_position, tiles);

            for (int part = 0; part < VECTORS; part++) {
                const int output = block * BLOCK + part * WIDTH;
                const int lanes = min(outputs - output, WIDTH);
                if (lanes <= 0)
                    continue;
                float biases[WIDTH];
                for (int lane = 0; lane < WIDTH; lane++)
                    biases[lane] = has_bias && lane < lanes ? bias[group * outputs + output + lane] : 0.0f;
                const vector of_bias = *(const unaligned_vector *)biases;
                __global const vector *of_part = m + part;
                for (int image = 0; image < of_images; image++) {
                    for (int row = 0; row < rows; row++)
                        for (int column = 0; column < columns; column++, of_part += VECTORS) {
                            vector tile[TILE][TILE];
                            transform_tile(of_part, m_position, of_bias, least, most, tile);
                            const int corner = row * side * pitch + column * side;
                            const int i_inside = i_end - i_begin - row * side, j_inside = pitch - column * side;
                            if (pool) {
                                #pragma unroll
                                for (int i = 0; i < TILE; i += 2)
                                    #pragma unroll
                                    for (int j = 0; j < TILE; j += 2) {
                                        const int place = corner + i / 2 * pitch + j / 2;
                                        if (i / 2 < i_inside && j / 2 < j_inside)
                                            pool_window(tile, i, j, pixels + place, codes + place);
                                    }
                            } else {
                                #pragma unroll
                                for (int i = 0; i < TILE; i++)
                                    #pragma unroll
                                    for (int j = 0; j < TILE; j++)
                                        if (i < i_inside && j < j_inside)
                                            pixels[corner + i * pitch + j] = tile[i][j];
                            }
                        }
                    const int plane = ((first_image + image) * groups + group) * outputs + output;
                    const int place = (plane * stored_h + i_begin) * stored_w + j_begin;
                    for (int i = 0; i < runs; i++) {
                        write_pixels(
                            pixels + i * pitch, run, lanes, stored_h * stored_w, y + place + i * stored_w, has_kept,
                            kept + place + i * stored_w);
                        if (pool)
                            write_codes(
                                codes + i * pitch, run, lanes, stored_h * stored_w, winner + place + i * stored_w);
                    }
                }
            }
        }
    }
}
