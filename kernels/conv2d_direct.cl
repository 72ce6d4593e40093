// Convolution with few input channels in a group, such as first layers and depthwise ones, for CPU cores.
//
// A work-item, alone in its work-group, takes one strip of rows of one image and group after the other. It copies what
// the strip reads of the image, with zeros around it, to where it stays in its core's cache: there each row is cut into
// phases, the pixels that are as far apart as the windows, so that windows next to each other read pixels next to each
// other and lanes of vectors run along the rows of y, whatever the stride. Zeros of the padding are multiplied like
// pixels as long as that leaves sums as they are; where something is not finite, they are masked out.
//
// Build options: OUTPUTS x ROWS accumulators of `correlate`; OUTPUTS x TERMS of `correlate_weights`.

#include "limits.cl"

#define WIDTH 8

typedef float8 vector;
typedef int8 lanes;
// Read and written through this type rather than by vloadn, which PoCL 3.0 turns into scalar loads.
typedef vector unaligned_vector __attribute__((aligned(4)));

#define LOAD(pointer) (*(__global const unaligned_vector *)(pointer))
#define STORE(pointer, value) (*(__global unaligned_vector *)(pointer) = (value))
#define LANES ((lanes)(0, 1, 2, 3, 4, 5, 6, 7))
// Every second of 15 numbers, of which the first 8 and the last 8 are given.
#define SECONDS(a, b) ((vector)(a.s0, a.s2, a.s4, a.s6, b.s1, b.s3, b.s5, b.s7))

// Each lane 0, or something else if that lane is not finite.
inline lanes infinite_or_nan(vector a)
{
    return as_int8(a - a);
}

// target[m] = source[m step] for m below count. Returns zeros if all those are finite.
inline lanes copy(__global const float *restrict source, int step, int count, __global float *restrict target)
{
    lanes not_finite = (lanes)(0);
    if (count < WIDTH || step > 2) {
        for (int m = 0; m < count; m++) {
            target[m] = source[m * step];
            not_finite |= infinite_or_nan((vector)(target[m]));
        }
        return not_finite;
    }
    // The last ones are copied together with some before them, so as not to read beyond the row.
    for (int m = 0; m < count; m += WIDTH) {
        const int first = min(m, count - WIDTH);
        vector pixels = LOAD(source + step * first);
        if (step == 2)
            pixels = SECONDS(pixels, LOAD(source + 2 * first + WIDTH - 1));
        STORE(target + first, pixels);
        not_finite |= infinite_or_nan(pixels);
    }
    return not_finite;
}

// staged[c, row, phase, j] = planes[c, y_first + row, j stride + phase dilation % stride - left], zero outside.
//
// Rows of the planes lie spread_h apart there, and if the stride is 1 their pixels spread_w, with zeros in between.
// Channels of `staged` are staged_rows apart, of which `rows` are written. Returns whether all is finite.
inline int stage(
    __global const float *restrict planes, int inputs, int height, int width, int spread_h, int spread_w, int y_first,
    int rows, int left, int stride, int dilation, int phases, int pitch, int staged_rows,
    __global float *restrict staged)
{
    lanes not_finite = (lanes)(0);
    // The first row of the planes that is read, and where it goes.
    const int first_source = max(0, (y_first + spread_h - 1) / spread_h);
    const int first_target = first_source * spread_h - y_first;
    for (int phase = 0; phase < phases; phase++) {
        // Of the pixel at j = 0.
        const int x = phase * dilation % stride - left;
        const int begin = min(max(0, (stride - 1 - x) / stride), pitch);
        const int end = clamp((width - 1 - x + stride) / stride, begin, pitch);
        const int spread_begin = max(0, (spread_w - 1 - left) / spread_w);
        const int spread_end = min(width, (pitch - 1 - left + spread_w) / spread_w);
        for (int c = 0; c < inputs; c++) {
            int source = first_source, next = first_target;
            for (int row = 0; row < rows; row++) {
                __global float *target = staged + ((c * staged_rows + row) * phases + phase) * pitch;
                const int is_source = row == next && source < height;
                const int zeros = is_source && spread_w == 1 ? begin : pitch;
                for (int j = 0; j < zeros; j++)
                    target[j] = 0.0f;
                if (!is_source)
                    continue;
                __global const float *pixels = planes + (c * height + source) * width;
                source++;
                next += spread_h;
                if (spread_w == 1) {
                    not_finite |= copy(pixels + begin * stride + x, stride, end - begin, target + begin);
                    for (int j = end; j < pitch; j++)
                        target[j] = 0.0f;
                } else {
                    for (int m = spread_begin; m < spread_end; m++) {
                        target[m * spread_w + left] = pixels[m];
                        not_finite |= infinite_or_nan((vector)(pixels[m]));
                    }
                }
            }
        }
    }
    return !any(not_finite != 0);
}

// offsets[t] = where the pixels of term t = (c, p, q) begin, from those of the first.
inline void place_terms(
    int inputs, int kernel_h, int kernel_w, int stride_w, int dilation_h, int dilation_w, int phases, int pitch,
    int staged_rows, __global int *restrict offsets)
{
    for (int c = 0; c < inputs; c++)
        for (int p = 0; p < kernel_h; p++)
            for (int q = 0; q < kernel_w; q++, offsets++)
                *offsets
                    = ((c * staged_rows + p * dilation_h) * phases + q % phases) * pitch + q * dilation_w / stride_w;
}

// Which lanes of a vector of pixels, read by windows that are `stride` apart, are pixels of a row of the image.
inline lanes inside_row(int x, int stride, int spread, int width)
{
    const lanes place = x + stride * LANES;
    return (place >= 0) & (place < width * spread) & (place % spread == 0);
}

// y[image, output] = bias[output] + sum over the inputs of its group of x[image, input] correlated with w, within the
// limits `least` and `most`.
//
// Pixels of x lie spread_h and spread_w apart, with nothing in between; the latter may exceed 1 only if stride_w is 1.
// The kernel for an output and an input begins at w[group w_group + output w_output + input w_input]; if `is_turned` it
// is turned by 180 degrees. scratch_item floats of scratch belong to each work-item.
// Dimension 0: work-items, which share the strips of all images and groups evenly.
__kernel void correlate(
    __global const float *restrict x, __global const float *restrict w, __global const float *restrict bias,
    int has_bias, float least, float most, __global float *restrict y, __global float *restrict scratch, int scratch_item,
    int items, int images, int groups, int inputs, int outputs, int height, int width, int out_h, int out_w,
    int kernel_h, int kernel_w, int stride_h, int stride_w, int top, int left, int dilation_h, int dilation_w,
    int phases, int pitch, int strip_rows, int staged_rows, int spread_h, int spread_w, int w_group, int w_output,
    int w_input, int is_turned)
{
    const int item = get_group_id(0);
    if (item >= items)
        return;
    const int taps = kernel_h * kernel_w, terms = inputs * taps;
    __global float *restrict staged = scratch + (size_t)item * scratch_item;
    __global float *restrict weights = staged + inputs * staged_rows * phases * pitch;
    __global int *restrict offsets = (__global int *)(weights + OUTPUTS * terms);
    place_terms(
        inputs, kernel_h, kernel_w, stride_w, dilation_h, dilation_w, phases, pitch, staged_rows, offsets);

    const int row_step = stride_h * phases * pitch;
    const int strips = (out_h + strip_rows - 1) / strip_rows, units = images * groups * strips;
    const int unit_end = (int)((long)units * (item + 1) / items);
    for (int unit = (int)((long)units * item / items); unit < unit_end; unit++) {
        const int plane = unit / strips, group = plane % groups;
        const int first_row = unit % strips * strip_rows, rows = min(strip_rows, out_h - first_row);
        stage(
            x + plane * inputs * height * width, inputs, height, width, spread_h, spread_w, first_row * stride_h - top,
            (rows - 1) * stride_h + (kernel_h - 1) * dilation_h + 1, left, stride_w, dilation_w, phases, pitch,
            staged_rows, staged);

        for (int output = 0; output < outputs; output += OUTPUTS) {
            // The weights of outputs that are there, for as many as a block has.
            int is_masked = 0;
            for (int o = 0; o < OUTPUTS; o++) {
                __global const float *of_output = w + group * w_group + min(output + o, outputs - 1) * w_output;
                for (int c = 0; c < inputs; c++)
                    for (int tap = 0; tap < taps; tap++) {
                        const float weight = of_output[c * w_input + (is_turned ? taps - 1 - tap : tap)];
                        weights[(c * taps + tap) * OUTPUTS + o] = weight;
                        is_masked |= !isfinite(weight);
                    }
            }

            for (int row = 0; row < rows; row += ROWS)
                for (int column = 0; column < out_w; column += WIDTH) {
                    const int j = max(0, min(column, out_w - WIDTH));
                    __global const float *pixels[ROWS];
                    vector sum[OUTPUTS][ROWS];
                    #pragma unroll
                    for (int r = 0; r < ROWS; r++) {
                        pixels[r] = staged + min(row + r, rows - 1) * row_step + j;
                        #pragma unroll
                        for (int o = 0; o < OUTPUTS; o++)
                            sum[o][r] = (vector)(0.0f);
                    }
                    if (is_masked) {
                        for (int t = 0; t < terms; t++) {
                            const int p = t / kernel_w % kernel_h, q = t % kernel_w;
                            const lanes in_row = inside_row(
                                j * stride_w + q * dilation_w - left, stride_w, spread_w, width);
                            for (int r = 0; r < ROWS; r++) {
                                const int above = (first_row + row + r) * stride_h + p * dilation_h - top;
                                if (above < 0 || above >= height * spread_h || above % spread_h)
                                    continue;
                                for (int o = 0; o < OUTPUTS; o++) {
                                    const vector product = weights[t * OUTPUTS + o] * LOAD(pixels[r] + offsets[t]);
                                    sum[o][r] += in_row ? product : (vector)(0.0f);
                                }
                            }
                        }
                    } else {
                        for (int t = 0; t < terms; t++) {
                            const int offset = offsets[t];
                            vector of_row[ROWS];
                            #pragma unroll
                            for (int r = 0; r < ROWS; r++)
                                of_row[r] = LOAD(pixels[r] + offset);
                            #pragma unroll
                            for (int o = 0; o < OUTPUTS; o++) {
                                const float weight = weights[t * OUTPUTS + o];
                                #pragma unroll
                                for (int r = 0; r < ROWS; r++)
                                    sum[o][r] += weight * of_row[r];
                            }
                        }
                    }

                    #pragma unroll
                    for (int o = 0; o < OUTPUTS; o++) {
                        if (output + o >= outputs)
                            continue;
                        const float of_bias = has_bias ? bias[group * outputs + output + o] : 0.0f;
                        __global float *target
                            = y + ((plane * outputs + output + o) * out_h + first_row + row) * out_w + j;
                        #pragma unroll
                        for (int r = 0; r < ROWS; r++) {
                            if (row + r >= rows)
                                continue;
                            const vector total = sum[o][r] + of_bias;
                            const vector result = LIMITED(vector, total, least, most);
                            if (out_w >= WIDTH)
                                STORE(target + r * out_w, result);
                            else
                                for (int lane = 0; lane < out_w; lane++)
                                    target[r * out_w + lane] = ((float *)&result)[lane];
                        }
                    }
                }
        }
    }
}

// partials[chunk, output, t] = lanes whose sum is that of dy[output] times the pixels that its windows read for term t,
// over the strips of one chunk; and for t = terms that of dy[output] alone.
//
// A chunk is a share of the strips of all images. scratch_item floats of scratch belong to each work-item.
// Dimension 0: work-items, which share the groups and chunks evenly.
__kernel void correlate_weights(
    __global const float *restrict x, __global const float *restrict dy, __global vector *restrict partials,
    __global float *restrict scratch, int scratch_item, int items, int images, int groups, int inputs, int outputs,
    int height, int width, int out_h, int out_w, int kernel_h, int kernel_w, int stride_h, int stride_w, int top,
    int left, int dilation_h, int dilation_w, int phases, int pitch, int strip_rows, int staged_rows, int chunks)
{
    const int item = get_group_id(0);
    if (item >= items)
        return;
    const int terms = inputs * kernel_h * kernel_w, vectors = (out_w + WIDTH - 1) / WIDTH;
    __global float *restrict staged = scratch + (size_t)item * scratch_item;
    __global float *restrict gradients = staged + inputs * staged_rows * phases * pitch;
    __global int *restrict offsets = (__global int *)(gradients + OUTPUTS * strip_rows * vectors * WIDTH);
    place_terms(
        inputs, kernel_h, kernel_w, stride_w, dilation_h, dilation_w, phases, pitch, staged_rows, offsets);

    const int row_step = stride_h * phases * pitch;
    const int strips = (out_h + strip_rows - 1) / strip_rows, units = groups * chunks;
    const int unit_end = (int)((long)units * (item + 1) / items);
    for (int unit = (int)((long)units * item / items); unit < unit_end; unit++) {
        const int group = unit / chunks, chunk = unit % chunks;
        const int first_part = (int)((long)images * strips * chunk / chunks);
        const int part_end = (int)((long)images * strips * (chunk + 1) / chunks);
        __global vector *restrict of_unit = partials + (chunk * groups + group) * outputs * (terms + 1);
        for (int m = 0; m < outputs * (terms + 1); m++)
            of_unit[m] = (vector)(0.0f);

        for (int part = first_part; part < part_end; part++) {
            const int plane = part / strips * groups + group;
            const int first_row = part % strips * strip_rows, rows = min(strip_rows, out_h - first_row);
            const int is_x_finite = stage(
                x + plane * inputs * height * width, inputs, height, width, 1, 1, first_row * stride_h - top,
                (rows - 1) * stride_h + (kernel_h - 1) * dilation_h + 1, left, stride_w, dilation_w, phases, pitch,
                staged_rows, staged);

            for (int output = 0; output < outputs; output += OUTPUTS) {
                const int count = min(outputs - output, OUTPUTS);
                // Rows of dy, filled up with zeros to whole vectors.
                const int is_dy_finite = stage(
                    dy + (plane * outputs + output) * out_h * out_w, count, out_h, out_w, 1, 1, first_row, rows, 0, 1,
                    1, 1, vectors * WIDTH, strip_rows, gradients);
                __global vector *restrict of_block = of_unit + output * (terms + 1);
                int of_output[OUTPUTS];
                vector of_bias[OUTPUTS];
                #pragma unroll
                for (int o = 0; o < OUTPUTS; o++) {
                    of_output[o] = min(o, count - 1) * strip_rows * vectors * WIDTH;
                    of_bias[o] = (vector)(0.0f);
                }
                for (int m = 0; m < rows * vectors * WIDTH; m += WIDTH)
                    #pragma unroll
                    for (int o = 0; o < OUTPUTS; o++)
                        of_bias[o] += LOAD(gradients + of_output[o] + m);
                for (int o = 0; o < count; o++)
                    of_block[o * (terms + 1) + terms] += of_bias[o];

                for (int term = 0; term < terms; term += TERMS) {
                    vector sum[OUTPUTS][TERMS];
                    #pragma unroll
                    for (int o = 0; o < OUTPUTS; o++)
                        #pragma unroll
                        for (int t = 0; t < TERMS; t++)
                            sum[o][t] = (vector)(0.0f);
                    int of_term[TERMS];
                    #pragma unroll
                    for (int t = 0; t < TERMS; t++)
                        of_term[t] = offsets[min(term + t, terms - 1)];

                    if (is_x_finite && is_dy_finite) {
                        for (int row = 0; row < rows; row++)
                            for (int j = 0; j < vectors * WIDTH; j += WIDTH) {
                                __global const float *dy_row = gradients + row * vectors * WIDTH + j;
                                __global const float *pixels = staged + row * row_step + j;
                                vector of_window[TERMS];
                                #pragma unroll
                                for (int t = 0; t < TERMS; t++)
                                    of_window[t] = LOAD(pixels + of_term[t]);
                                #pragma unroll
                                for (int o = 0; o < OUTPUTS; o++) {
                                    const vector gradient = LOAD(dy_row + of_output[o]);
                                    #pragma unroll
                                    for (int t = 0; t < TERMS; t++)
                                        sum[o][t] += gradient * of_window[t];
                                }
                            }
                    } else {
                        for (int t = 0; t < TERMS; t++) {
                            const int p = (term + t) / kernel_w % kernel_h, q = (term + t) % kernel_w;
                            for (int row = 0; row < rows; row++) {
                                const int y = (first_row + row) * stride_h + p * dilation_h - top;
                                if (y < 0 || y >= height)
                                    continue;
                                for (int j = 0; j < vectors * WIDTH; j += WIDTH) {
                                    const lanes inside
                                        = inside_row(j * stride_w + q * dilation_w - left, stride_w, 1, width)
                                        & (j + LANES < out_w);
                                    const vector pixels = LOAD(staged + row * row_step + j + of_term[t]);
                                    for (int o = 0; o < OUTPUTS; o++) {
                                        const vector product
                                            = pixels * LOAD(gradients + row * vectors * WIDTH + j + of_output[o]);
                                        sum[o][t] += inside ? product : (vector)(0.0f);
                                    }
                                }
                            }
                        }
                    }

                    #pragma unroll
                    for (int o = 0; o < OUTPUTS; o++)
                        #pragma unroll
                        for (int t = 0; t < TERMS; t++)
                            if (o < count && term + t < terms)
                                of_block[o * (terms + 1) + term + t] += sum[o][t];
                }
            }
        }
    }
}

inline float sum_of_lanes(vector a)
{
    return ((a.s0 + a.s1) + (a.s2 + a.s3)) + ((a.s4 + a.s5) + (a.s6 + a.s7));
}

// dw[output, t] and db[output] = the sums over all chunks and lanes of partials.
// Dimension 0: outputs of all groups.
__kernel void sum_partials(
    __global const vector *restrict partials, __global float *restrict dw, __global float *restrict db, int outputs,
    int terms, int chunks)
{
    const int output = get_group_id(0);
    if (output >= outputs)
        return;
    for (int t = 0; t <= terms; t++) {
        vector sum = (vector)(0.0f);
        for (int chunk = 0; chunk < chunks; chunk++)
            sum += partials[(chunk * outputs + output) * (terms + 1) + t];
        __global float *target = t < terms ? dw + output * terms + t : db + output;
        *target = sum_of_lanes(sum);
    }
}
