// Depthwise convolution of one output channel to each input channel, for CPU cores.
//
// A work-item, alone in its work-group, takes one channel of a block of images after the other. It copies their planes,
// one behind the other, to where they stay in its core's cache: with zeros around them, cut into phases, the pixels that
// are as far apart as the windows. There the pixels of one tap for windows next to each other lie next to each other,
// from one row and one image to the next, so that whole vectors are computed however small the planes are; what lies
// between rows and between images is computed too, and left out where rows are copied to the result. Zeros between
// planes are written once, since the pixels always go to the same places.
//
// Build options: WIDTH, the floats of a vector; TERMS, the accumulators of `correlate_weights`; TAP_ROWS, the rows of
// windows whose taps all lie next to each other, if `correlate` is to take several rows of the result together.

#include "limits.cl"

#define VECTOR_OF(width) VECTOR_OF_EXPANDED(width)
#define VECTOR_OF_EXPANDED(width) float##width
typedef VECTOR_OF(WIDTH) vector;
// Read and written through these types rather than by vloadn, which PoCL 3.0 turns into scalar loads.
typedef vector unaligned_vector __attribute__((aligned(4)));
typedef float4 unaligned_float4 __attribute__((aligned(4)));
typedef float8 unaligned_float8 __attribute__((aligned(4)));

#define LOAD(pointer) (*(__global const unaligned_vector *)(pointer))
#define STORE(pointer, value) (*(__global unaligned_vector *)(pointer) = (value))
#define LOAD4(pointer) (*(__global const unaligned_float4 *)(pointer))
#define STORE4(pointer, value) (*(__global unaligned_float4 *)(pointer) = (value))
#define LOAD8(pointer) (*(__global const unaligned_float8 *)(pointer))
#define STORE8(pointer, value) (*(__global unaligned_float8 *)(pointer) = (value))
// Every second of 7 or 15 numbers, of which the first and the last 4 or 8 are given.
inline float4 seconds_of_7(float4 a, float4 b)
{
    return (float4)(a.s0, a.s2, b.s1, b.s3);
}

inline float8 seconds_of_15(float8 a, float8 b)
{
    return (float8)(a.s0, a.s2, a.s4, a.s6, b.s1, b.s3, b.s5, b.s7);
}

// target[row, m] = source[row, m step] for m below count, in rows that lie so far apart. The last ones of a row are
// copied together with some before them, so that nothing beyond is touched.
inline void copy_rows(
    __global const float *restrict source, int source_row, int rows, int step, int count,
    __global float *restrict target, int target_row)
{
    if (count < 4 || step > 2) {
        for (int row = 0; row < rows; row++, source += source_row, target += target_row)
            for (int m = 0; m < count; m++)
                target[m] = source[m * step];
    } else if (count < 8) {
        const int last = count - 4;
        for (int row = 0; row < rows; row++, source += source_row, target += target_row)
            if (step == 1) {
                const float4 end = LOAD4(source + last);
                STORE4(target, LOAD4(source));
                STORE4(target + last, end);
            } else {
                const float4 end = seconds_of_7(LOAD4(source + 2 * last), LOAD4(source + 2 * last + 3));
                STORE4(target, seconds_of_7(LOAD4(source), LOAD4(source + 3)));
                STORE4(target + last, end);
            }
    } else {
        for (int row = 0; row < rows; row++, source += source_row, target += target_row)
            for (int m = 0; m < count; m += 8) {
                const int first = min(m, count - 8);
                if (step == 1)
                    STORE8(target + first, LOAD8(source + first));
                else
                    STORE8(target + first, seconds_of_15(LOAD8(source + 2 * first), LOAD8(source + 2 * first + 7)));
            }
    }
}

// staged[phase, image, i, j] = plane of the image at (i step_h + y_phase - top, j step_w + x_phase - left).
//
// Planes of an image are image_stride apart, in `staged` plane_size, phases phase_size. Where there is no such pixel
// nothing is written.
inline void stage(
    __global const float *restrict planes, int image_stride, int count, int height, int width, int step_h, int step_w,
    int top, int left, int phases, __global const int *restrict phase, int pitch, int plane_size, int phase_size,
    int plane_rows, __global float *restrict staged)
{
    for (int of_phase = 0; of_phase < phases; of_phase++, phase += 2, staged += phase_size) {
        const int base_y = phase[0] - top, base_x = phase[1] - left;
        const int i_begin = max(0, (step_h - 1 - base_y) / step_h), j_begin = max(0, (step_w - 1 - base_x) / step_w);
        const int i_end = min(plane_rows, (height - 1 - base_y + step_h) / step_h);
        const int columns = (width - 1 - base_x + step_w) / step_w - j_begin;
        for (int image = 0; image < count; image++)
            copy_rows(
                planes + image * image_stride + (i_begin * step_h + base_y) * width + j_begin * step_w + base_x,
                step_h * width, i_end - i_begin, step_w, columns,
                staged + image * plane_size + i_begin * pitch + j_begin, pitch);
    }
}

#ifdef TAP_ROWS
#define BY_ROWS 1
// Rows and vectors of the result that are computed together.
#define ROWS 4
#define VECTORS 2

// result[i, j] = the sum over (p, q) of weights[p, q] pixels[i + p, j + q] + bias, within the limits.
//
// What is read of the pixels serves all rows whose windows it lies in. Rows of pixels are `pitch` apart, those of the
// result result_pitch, which is of whole blocks.
inline void correlate_rows(
    __global const float *restrict pixels, int pitch, __global const float *restrict weights, int tap_columns,
    int rows, int columns, float bias, float least, float most, __global float *restrict result, int result_pitch)
{
    for (int i = 0; i < rows; i += ROWS)
        for (int j = 0; j < columns; j += VECTORS * WIDTH) {
            vector sum[ROWS][VECTORS];
            #pragma unroll
            for (int r = 0; r < ROWS; r++)
                #pragma unroll
                for (int v = 0; v < VECTORS; v++)
                    sum[r][v] = (vector)(0.0f);
            #pragma unroll
            for (int p = 0; p < TAP_ROWS + ROWS - 1; p++) {
                __global const float *restrict row = pixels + (i + p) * pitch + j;
                for (int q = 0; q < tap_columns; q++) {
                    vector read[VECTORS];
                    #pragma unroll
                    for (int v = 0; v < VECTORS; v++)
                        read[v] = LOAD(row + q + v * WIDTH);
                    #pragma unroll
                    for (int r = 0; r < ROWS; r++) {
                        if (p < r || p - r >= TAP_ROWS)
                            continue;
                        const float weight = weights[(p - r) * tap_columns + q];
                        #pragma unroll
                        for (int v = 0; v < VECTORS; v++)
                            sum[r][v] += weight * read[v];
                    }
                }
            }
            #pragma unroll
            for (int r = 0; r < ROWS; r++)
                #pragma unroll
                for (int v = 0; v < VECTORS; v++) {
                    const vector total = sum[r][v] + bias;
                    STORE(result + (i + r) * result_pitch + j + v * WIDTH, LIMITED(vector, total, least, most));
                }
        }
}
#else
#define BY_ROWS 0
#endif

// y[image, channel] = bias[channel] + x[image, channel] correlated with w[channel], within the limits `least` and
// `most`; or the gradient of x, which is so computed from that of y.
//
// `tables` has two ints for each phase of the pixels that are read, as `stage` takes them; two for each term, where its
// pixels begin from those of the first and its place in w; and eight for each pass, which computes every out_step-th
// pixel of the result: first term and number of terms, first row and number of rows, first column and number of
// columns, and the row and the column of the result that row and column 0 would be.
// Dimension 0: work-items, which share the channels of all blocks of images evenly.
__kernel void correlate(
    __global const float *restrict x, __global const float *restrict w, __global const float *restrict bias,
    int has_bias, float least, float most, __global float *restrict y, __global float *restrict scratch, int scratch_item,
    __global const int *restrict tables, int items, int images, int channels, int block, int height, int width,
    int out_h, int out_w, int step_h, int step_w, int out_step_h, int out_step_w, int top, int left, int phases,
    int terms, int passes, int lead, int pitch, int result_pitch, int plane_rows, int phase_size)
{
    const int item = get_group_id(0);
    if (item >= items)
        return;
    const int plane_size = plane_rows * pitch, channel_size = height * width, out_size = out_h * out_w;
    __global float *restrict staged = scratch + (size_t)item * scratch_item;
    __global float *restrict weights = staged + phases * phase_size;
    __global float *restrict result = weights + terms;
    __global const int *restrict of_term = tables + 2 * phases;
    for (int place = 0; place < phases * phase_size; place++)
        staged[place] = 0.0f;

    const int units = (images + block - 1) / block * channels;
    const int unit_end = (int)((long)units * (item + 1) / items);
    for (int unit = (int)((long)units * item / items); unit < unit_end; unit++) {
        const int channel = unit % channels, first_image = unit / channels * block;
        const int count = min(block, images - first_image), first_plane = first_image * channels + channel;
        stage(
            x + first_plane * channel_size, channels * channel_size, count, height, width, step_h, step_w, top, left,
            phases, tables, pitch, plane_size, phase_size, plane_rows, staged + lead);
        // Of rows the pixels are read from the first to the last, the reverse of the terms of the gradient of x.
        const int is_reversed = BY_ROWS && of_term[2 * (terms - 1)] < 0;
        for (int t = 0; t < terms; t++)
            weights[is_reversed ? terms - 1 - t : t] = w[channel * terms + of_term[2 * t + 1]];
        const float of_bias = has_bias ? bias[channel] : 0.0f;

        __global const int *restrict pass = of_term + 2 * terms;
        for (int of_pass = 0; of_pass < passes; of_pass++, pass += 8) {
            const int first_term = pass[0], term_end = pass[0] + pass[1], rows = pass[3], columns = pass[5];
            __global const float *restrict pixels = staged + lead + pass[2] * pitch + pass[4];
#ifdef TAP_ROWS
            __global const float *restrict window = pixels + min(of_term[0], of_term[2 * (terms - 1)]);
            correlate_rows(
                window, pitch, weights, terms / TAP_ROWS, (count - 1) * plane_rows + rows, columns, of_bias, least, most,
                result, result_pitch);
#else
            const int places = (count - 1) * plane_size + (rows - 1) * pitch + columns;
            for (int place = 0; place < places; place += 4 * WIDTH) {
                vector sum[4];
                #pragma unroll
                for (int r = 0; r < 4; r++)
                    sum[r] = (vector)(0.0f);
                for (int t = first_term; t < term_end; t++) {
                    const float weight = weights[t];
                    __global const float *restrict of_window = pixels + of_term[2 * t] + place;
                    #pragma unroll
                    for (int r = 0; r < 4; r++)
                        sum[r] += weight * LOAD(of_window + r * WIDTH);
                }
                #pragma unroll
                for (int r = 0; r < 4; r++) {
                    const vector total = sum[r] + of_bias;
                    STORE(result + place + r * WIDTH, LIMITED(vector, total, least, most));
                }
            }
#endif
            for (int image = 0; image < count; image++) {
                __global const float *source = result + image * plane_rows * result_pitch;
                __global float *target = y + (first_plane + image * channels) * out_size
                    + (pass[2] * out_step_h + pass[6]) * out_w + pass[4] * out_step_w + pass[7];
                if (out_step_w == 1) {
                    copy_rows(source, result_pitch, rows, 1, columns, target, out_step_h * out_w);
                } else {
                    for (int row = 0; row < rows; row++)
                        for (int m = 0; m < columns; m++)
                            target[row * out_step_h * out_w + m * out_step_w] = source[row * result_pitch + m];
                }
            }
        }
    }
}

// partials[chunk, channel, t] = lanes whose sum is that of dy[channel] times the pixels that its windows read for term
// t, over the images of one chunk; and for t = terms that of dy[channel] alone.
//
// A chunk is a share of the blocks of images. The first of `tables` are as in `correlate`.
// Dimension 0: work-items, `parts` for each chunk, which share the channels evenly.
__kernel void correlate_weights(
    __global const float *restrict x, __global const float *restrict dy, __global vector *restrict partials,
    __global float *restrict scratch, int scratch_item, __global const int *restrict tables, int items, int parts,
    int chunks, int images, int channels, int block, int height, int width, int out_h, int out_w, int step_h,
    int step_w, int top, int left, int phases, int terms, int pitch, int plane_rows, int phase_size)
{
    const int item = get_group_id(0);
    if (item >= items)
        return;
    const int plane_size = plane_rows * pitch, channel_size = height * width, out_size = out_h * out_w;
    __global float *restrict staged = scratch + (size_t)item * scratch_item;
    __global float *restrict gradients = staged + phases * phase_size;
    __global const int *restrict of_term = tables + 2 * phases;
    for (int place = 0; place < (phases + 1) * phase_size; place++)
        staged[place] = 0.0f;

    const int chunk = item / parts, part = item % parts, blocks = (images + block - 1) / block;
    const int first_channel = (int)((long)channels * part / parts);
    const int channel_end = (int)((long)channels * (part + 1) / parts);
    const int first_block = (int)((long)blocks * chunk / chunks);
    const int block_end = (int)((long)blocks * (chunk + 1) / chunks);
    __global vector *restrict of_chunk = partials + chunk * channels * (terms + 1);
    for (int place = first_channel * (terms + 1); place < channel_end * (terms + 1); place++)
        of_chunk[place] = (vector)(0.0f);

    for (int of_block = first_block; of_block < block_end; of_block++) {
        const int first_image = of_block * block, count = min(block, images - first_image);
        // What the images of another block left behind must not meet zeros: it may be NaN or infinity.
        for (int phase = 0; phase <= phases; phase++)
            for (int place = count * plane_size; place < block * plane_size; place++)
                staged[phase * phase_size + place] = 0.0f;
        const int places = (count - 1) * plane_size + (out_h - 1) * pitch + out_w;
        for (int channel = first_channel; channel < channel_end; channel++) {
            const int first_plane = first_image * channels + channel;
            stage(
                x + first_plane * channel_size, channels * channel_size, count, height, width, step_h, step_w, top,
                left, phases, tables, pitch, plane_size, phase_size, plane_rows, staged);
            for (int image = 0; image < count; image++)
                copy_rows(
                    dy + (first_plane + image * channels) * out_size, out_w, out_h, 1, out_w,
                    gradients + image * plane_size, pitch);

            __global vector *restrict of_channel = of_chunk + channel * (terms + 1);
            vector of_bias = (vector)(0.0f);
            for (int place = 0; place < places; place += WIDTH)
                of_bias += LOAD(gradients + place);
            of_channel[terms] += of_bias;
            for (int term = 0; term < terms; term += TERMS) {
                vector sum[TERMS];
                __global const float *pixels[TERMS];
                #pragma unroll
                for (int t = 0; t < TERMS; t++) {
                    sum[t] = (vector)(0.0f);
                    pixels[t] = staged + of_term[2 * min(term + t, terms - 1)];
                }
                for (int place = 0; place < places; place += WIDTH) {
                    const vector gradient = LOAD(gradients + place);
                    #pragma unroll
                    for (int t = 0; t < TERMS; t++)
                        sum[t] += gradient * LOAD(pixels[t] + place);
                }
                #pragma unroll
                for (int t = 0; t < TERMS; t++)
                    if (term + t < terms)
                        of_channel[term + t] += sum[t];
            }
        }
    }
}

// dw[channel, t] and db[channel] = the sums over all chunks and lanes of partials.
// Dimension 0: channels.
__kernel void sum_partials(
    __global const vector *restrict partials, __global float *restrict dw, __global float *restrict db, int channels,
    int terms, int chunks)
{
    const int channel = get_group_id(0);
    if (channel >= channels)
        return;
    for (int t = 0; t <= terms; t++) {
        vector sum = (vector)(0.0f);
        for (int chunk = 0; chunk < chunks; chunk++)
            sum += partials[(chunk * channels + channel) * (terms + 1) + t];
        float total = 0.0f;
        for (int lane = 0; lane < WIDTH; lane++)
            total += ((float *)&sum)[lane];
        __global float *target = t < terms ? dw + channel * terms + t : db + channel;
        *target = total;
    }
}
