// The gradient of the 3x3 kernels of a convolution with stride 1, by Winograd's algorithm, for CPU cores.
//
// dw is G'[sum over all tiles of (A d A') o (B'x B)]G, of tiles d of TILE x TILE pixels of dy and x of EDGE x EDGE; the
// sums at one of the EDGE^2 positions, over the tiles, are a matrix product of inputs by outputs.
//
// A work-item, alone in its work-group, sums over a part of the strips of tiles for some inputs and some outputs. What
// it transforms stays in its core's cache, as do its sums.

#include "winograd.cl"

// Inputs whose sums are kept in registers at once.
#define ROWS 8

// sum[r sum_row + part] += sum over tiles of pixels[tile, r] gradients[tile, part], for r below ROWS.
//
// What the tiles give is summed apart and then added, so that the error grows with their number and that of the strips
// rather than with the product.
inline void accumulate(
    __global const float *restrict pixels, __global const vector *restrict gradients, int tiles,
    __global vector *restrict sum, int sum_row)
{
    vector of_tiles[ROWS][VECTORS];
    #pragma unroll
    for (int r = 0; r < ROWS; r++)
        #pragma unroll
        for (int part = 0; part < VECTORS; part++)
            of_tiles[r][part] = (vector)(0.0f);
    for (int tile = 0; tile < tiles; tile++, pixels += WIDTH, gradients += VECTORS)
        #pragma unroll
        for (int r = 0; r < ROWS; r++) {
            const float pixel = pixels[r];
            #pragma unroll
            for (int part = 0; part < VECTORS; part++)
                of_tiles[r][part] = add_product(of_tiles[r][part], pixel, gradients[part]);
        }
    #pragma unroll
    for (int r = 0; r < ROWS; r++)
        #pragma unroll
        for (int part = 0; part < VECTORS; part++)
            sum[r * sum_row + part] += of_tiles[r][part];
}

// Where the tiles of vector k of the outputs begin, among blocks of `capacity` tiles of VECTORS vectors each.
inline int first_of(int k, int capacity)
{
    return k / VECTORS * VECTORS * capacity + k % VECTORS;
}

// The sum of the pixels of rows of tiles, each row summed apart.
inline vector sum_pixels(__global const vector *restrict pixels, int rows, int pitch)
{
    vector sum = (vector)(0.0f);
    for (int row = 0; row < rows; row++, pixels += TILE * pitch) {
        vector of_row = (vector)(0.0f);
        for (int j = 0; j < pitch; j++) {
            vector of_column = pixels[j];
            #pragma unroll
            for (int i = 1; i < TILE; i++)
                of_column += pixels[i * pitch + j];
            of_row += of_column;
        }
        sum += of_row;
    }
    return sum;
}

// sums[split, group, input share, output share, position, input, output] = the sum over a part of the tiles, and
// bias_sums[split, group, output] that of dy.
//
// With `is_unpooled`, dy is the gradient of the maxima of windows of 2x2 pixels side by side, and `winner` tells which
// pixel of its window each goes to.
//
// A strip is strip_rows x strip_columns tiles of strip_images images; a share is share_inputs or share_outputs vectors
// of channels, of which the last may have copies in the place of those that do not exist. scratch_item vectors of
// scratch belong to each work-item: x_size for B'x B, dy_size for A d A', the rest for pixels.
// Dimension 0: work-items. One takes every items-th unit; a unit is one of `splits` parts of all strips, for one pair
// of shares of one group.
__kernel void sum_products(
    __global const float *restrict x, __global const float *restrict dy, int is_unpooled,
    __global const uchar *restrict winner, __global vector *restrict sums, __global vector *restrict bias_sums,
    __global vector *restrict scratch, int scratch_item, int x_size, int dy_size, int items, int images, int groups,
    int inputs, int outputs, int height, int width, int out_h, int out_w, int top, int left, int tile_rows,
    int tile_columns, int strip_images, int strip_rows, int strip_columns, int share_inputs, int share_outputs,
    int input_shares, int output_shares, int splits)
{
    const int item = get_group_id(0);
    if (item >= items)
        return;
    __global vector *restrict of_x = scratch + (size_t)item * scratch_item;
    __global vector *restrict of_dy = of_x + x_size;
    __global vector *restrict pixels = of_dy + dy_size;

    // Lest all positions fall on the same lines of cache.
    const int capacity = strip_images * strip_rows * strip_columns;
    const int x_position = capacity * share_inputs + 1, dy_position = capacity * share_outputs + VECTORS;
    const int sum_position = share_inputs * WIDTH * share_outputs + VECTORS;
    const int dy_plane = is_unpooled ? (out_h / 2) * (out_w / 2) : out_h * out_w;
    const int down = (tile_rows + strip_rows - 1) / strip_rows;
    const int across = (tile_columns + strip_columns - 1) / strip_columns;
    const int strips = (images + strip_images - 1) / strip_images * down * across;

    const int units = splits * groups * input_shares * output_shares;
    for (int unit = item; unit < units; unit += items) {
        const int output_share = unit % output_shares, input_share = unit / output_shares % input_shares;
        const int group = unit / output_shares / input_shares % groups;
        const int split = unit / output_shares / input_shares / groups;
        const int first_input = input_share * share_inputs * WIDTH, first_output = output_share * share_outputs * WIDTH;
        const int input_vectors = min(share_inputs, (inputs - first_input + WIDTH - 1) / WIDTH);
        const int output_vectors = min(share_outputs, (outputs - first_output + WIDTH - 1) / WIDTH);
        __global vector *restrict sum = sums + (size_t)unit * POSITIONS * sum_position;
        __global vector *restrict bias_sum =
            bias_sums + ((split * groups + group) * output_shares + output_share) * share_outputs;
        for (int i = 0; i < POSITIONS * sum_position; i++)
            sum[i] = (vector)(0.0f);
        if (input_share == 0)
            for (int k = 0; k < share_outputs; k++)
                bias_sum[k] = (vector)(0.0f);

        const int strip_end = (int)((long)strips * (split + 1) / splits);
        for (int strip = (int)((long)strips * split / splits); strip < strip_end; strip++) {
            const int first_column = strip % across * strip_columns;
            const int first_row = strip / across % down * strip_rows;
            const int first_image = strip / across / down * strip_images;
            const int of_images = min(strip_images, images - first_image);
            const int rows = min(strip_rows, tile_rows - first_row);
            const int columns = min(strip_columns, tile_columns - first_column);
            const int tiles_of_image = rows * columns, tiles = of_images * tiles_of_image;
            const int pitch = min(columns * TILE, out_w - first_column * TILE);

            for (int image = 0; image < of_images; image++) {
                const int of_group = (first_image + image) * groups + group;
                for (int c = 0; c < input_vectors; c++) {
                    const int input = first_input + c * WIDTH;
                    transform_image(
                        x + (of_group * inputs + input) * height * width, 0, winner, min(inputs - input, WIDTH),
                        height, width, first_row * TILE - top, first_column * TILE - left, EDGE, rows, columns, pixels,
                        of_x + c * capacity + image * tiles_of_image, 1, x_position);
                }
                for (int k = 0; k < share_outputs; k++) {
                    __global vector *target = of_dy + first_of(k, capacity);
                    // A block may have a vector more than there are: its sums are not read.
                    const int output = first_output + min(k, output_vectors - 1) * WIDTH;
                    const int place = (of_group * outputs + output) * dy_plane;
                    transform_image(
                        dy + place, is_unpooled, winner + place, min(outputs - output, WIDTH), out_h, out_w,
                        first_row * TILE, first_column * TILE, TILE, rows, columns, pixels,
                        target + image * tiles_of_image * VECTORS, VECTORS, dy_position);
                    if (input_share == 0)
                        bias_sum[k] += sum_pixels(pixels, rows, pitch);
                }
            }

            for (int position = 0; position < POSITIONS; position++)
                for (int c = 0; c < input_vectors * WIDTH; c += ROWS)
                    for (int k = 0; k < share_outputs; k += VECTORS)
                        accumulate(
                            (__global const float *)(of_x + position * x_position + c / WIDTH * capacity) + c % WIDTH,
                            of_dy + position * dy_position + k * capacity, tiles,
                            sum + position * sum_position + c * share_outputs + k, share_outputs);
        }
    }
}

// The first three of m, of EDGE, become G'm.
inline void transform_sums(vector *m)
{
#if TILE == 4
    const vector sum_12 = m[1] + m[2], sum_34 = m[3] + m[4];
    const vector difference_12 = m[1] - m[2], difference_34 = m[3] - m[4];
    m[0] = (256.0f / 225.0f) * m[0] - (2048.0f / 2975.0f) * sum_12 + (128.0f / 1071.0f) * sum_34;
    m[1] = (64.0f / 357.0f) * difference_34 - (256.0f / 595.0f) * difference_12;
    m[2] = (32.0f / 119.0f) * (sum_34 - sum_12) + m[5];
#else
    const vector sum_12 = 0.5f * (m[1] + m[2]);
    m[1] = 0.5f * (m[1] - m[2]);
    m[0] = m[0] + sum_12;
    m[2] = sum_12 + m[3];
#endif
}

// dw[group, output, input] = G'M G, of the sums M of all splits; and db = those of bias_sums, if `has_db`.
//
// Dimension 0: groups x vectors of outputs; 1: shares of the inputs.
__kernel void transform_gradient(
    __global const vector *restrict sums, __global const vector *restrict bias_sums, __global float *restrict dw,
    __global float *restrict db, int has_db, int groups, int inputs, int outputs, int inputs_per_item,
    int share_inputs, int share_outputs, int input_shares, int output_shares, int splits)
{
    const int vectors = (outputs + WIDTH - 1) / WIDTH;
    const int group = get_group_id(0) / vectors, of_output = get_group_id(0) % vectors;
    if (group >= groups)
        return;
    const int output_share = of_output / share_outputs, k = of_output % share_outputs;
    const int sum_position = share_inputs * WIDTH * share_outputs + VECTORS;
    const int lanes = min(outputs - of_output * WIDTH, WIDTH), first_output = group * outputs + of_output * WIDTH;

    const int begin = get_group_id(1) * inputs_per_item, end = min(begin + inputs_per_item, inputs);
    for (int input = begin; input < end; input++) {
        const int input_share = input / (share_inputs * WIDTH), c = input % (share_inputs * WIDTH);
        vector sum[EDGE][EDGE];
        #pragma unroll
        for (int j = 0; j < EDGE; j++)
            #pragma unroll
            for (int i = 0; i < EDGE; i++)
                sum[j][i] = (vector)(0.0f);
        for (int split = 0; split < splits; split++) {
            const int unit = ((split * groups + group) * input_shares + input_share) * output_shares + output_share;
            __global const vector *restrict of_split =
                sums + (size_t)unit * POSITIONS * sum_position + c * share_outputs + k;
            #pragma unroll
            for (int j = 0; j < EDGE; j++)
                #pragma unroll
                for (int i = 0; i < EDGE; i++)
                    sum[j][i] += of_split[(i * EDGE + j) * sum_position];
        }
        #pragma unroll
        for (int j = 0; j < EDGE; j++)
            transform_sums(sum[j]);
        #pragma unroll
        for (int i = 0; i < 3; i++) {
            vector of_row[EDGE];
            #pragma unroll
            for (int j = 0; j < EDGE; j++)
                of_row[j] = sum[j][i];
            transform_sums(of_row);
            #pragma unroll
            for (int j = 0; j < 3; j++) {
                float of_lanes[WIDTH];
                *(unaligned_vector *)of_lanes = of_row[j];
                for (int lane = 0; lane < lanes; lane++)
                    dw[((first_output + lane) * inputs + input) * 9 + i * 3 + j] = of_lanes[lane];
            }
        }
    }

    if (has_db && get_group_id(1) == 0) {
        vector of_splits = (vector)(0.0f);
        for (int split = 0; split < splits; split++)
            of_splits += bias_sums[((split * groups + group) * output_shares + output_share) * share_outputs + k];
        float of_lanes[WIDTH];
        *(unaligned_vector *)of_lanes = of_splits;
        for (int lane = 0; lane < lanes; lane++)
            db[first_output + lane] = of_lanes[lane];
    }
}
