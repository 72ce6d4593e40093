// Depthwise convolution of one output channel to each input channel, for GPUs: memory is what it waits for, so that
// neighbours read and write next to each other, across rows and channels, and what is read again comes out of a cache.
//
// Build options: IMAGES, which a work-item computes together, so that indices and weights are for all of them; GROUP, the
// work-items of a group of `correlate_weights`, a power of two; TERMS, its accumulators.

#include "limits.cl"

// y[n, c, i, j] = bias[c] + sum over taps (p, q) of w[c, p, q] x[n, c, row, column], where
//     row gap_h = i step_h + p spread_h - before_h and column gap_w = j step_w + q spread_w - before_w,
// as far as there are such pixels: with gaps of one the convolution, with the steps as gaps the gradient of its x.
//
// Dimension 0: channels x pixels of y; 1: parts of the images.
__kernel void correlate(
    __global const float *restrict x, __global const float *restrict w,
    __global const float *restrict bias, int has_bias, float least, float most, __global float *restrict y,
    int images, int channels, int height, int width, int out_h, int out_w, int kernel_h, int kernel_w,
    int step_h, int step_w, int spread_h, int spread_w, int before_h, int before_w, int gap_h, int gap_w)
{
    const int plane = height * width, places = out_h * out_w, index = get_global_id(0);
    if (index >= channels * places)
        return;
    const int channel = index / places, place = index % places;
    const int first_row = place / out_w * step_h - before_h, first_column = place % out_w * step_w - before_w;
    const float first = has_bias ? bias[channel] : 0.0f;
    x += channel * plane;
    w += channel * kernel_h * kernel_w;
    y += index;
    for (int begin = get_global_id(1) * IMAGES; begin < images; begin += get_global_size(1) * IMAGES) {
        float sum[IMAGES];
        int image_at[IMAGES];
#pragma unroll
        for (int n = 0; n < IMAGES; n++) {
            sum[n] = first;
            image_at[n] = min(begin + n, images - 1) * channels * plane;
        }
        for (int p = 0; p < kernel_h; p++) {
            const int wide_row = first_row + p * spread_h, row = gap_h == 1 ? wide_row : wide_row / gap_h;
            if (wide_row < 0 || row >= height || row * gap_h != wide_row)
                continue;
            for (int q = 0; q < kernel_w; q++) {
                const int wide_column = first_column + q * spread_w;
                const int column = gap_w == 1 ? wide_column : wide_column / gap_w;
                if (wide_column < 0 || column >= width || column * gap_w != wide_column)
                    continue;
                const float weight = w[p * kernel_w + q];
#pragma unroll
                for (int n = 0; n < IMAGES; n++)
                    sum[n] += weight * x[image_at[n] + row * width + column];
            }
        }
#pragma unroll
        for (int n = 0; n < IMAGES; n++)
            if (begin + n < images)
                y[(begin + n) * channels * places] = LIMITED(float, sum[n], least, most);
    }
}

// of_w[chunk, c, p, q] = sum over the chunk's images and pixels of dy[n, c, i, j] x[n, c, row, column], row and column as
// above with gaps of one; of_b[chunk, c] is the sum of dy.
//
// Dimension 0: channels x GROUP; 1: chunks of all images' pixels; 2: blocks of TERMS taps.
__kernel __attribute__((reqd_work_group_size(GROUP, 1, 1)))
void correlate_weights(
    __global const float *restrict x, __global const float *restrict dy,
    __global float *restrict of_w, __global float *restrict of_b,
    int images, int channels, int height, int width, int out_h, int out_w, int kernel_h, int kernel_w,
    int step_h, int step_w, int spread_h, int spread_w, int before_h, int before_w, int terms_per_chunk)
{
    // The last sum is that of dy.
    __local float sums[TERMS + 1][GROUP];
    const int places = out_h * out_w, taps = kernel_h * kernel_w;
    const int channel = get_group_id(0), chunk = get_group_id(1), first_tap = get_group_id(2) * TERMS;
    const int item = get_local_id(0);
    int down[TERMS], right[TERMS];
    float sum[TERMS + 1];
#pragma unroll
    for (int t = 0; t < TERMS; t++) {
        down[t] = (first_tap + t) / kernel_w * spread_h;
        right[t] = (first_tap + t) % kernel_w * spread_w;
        sum[t] = 0.0f;
    }
    sum[TERMS] = 0.0f;
    const int end = min((chunk + 1) * terms_per_chunk, images * places);
    for (int term = chunk * terms_per_chunk + item; term < end; term += GROUP) {
        const int plane = term / places * channels + channel, place = term % places;
        const int first_row = place / out_w * step_h - before_h, first_column = place % out_w * step_w - before_w;
        const float slope = dy[plane * places + place];
        __global const float *pixels = x + plane * height * width;
#pragma unroll
        for (int t = 0; t < TERMS; t++) {
            const int row = first_row + down[t], column = first_column + right[t];
            if (row >= 0 && row < height && column >= 0 && column < width)
                sum[t] += slope * pixels[row * width + column];
        }
        sum[TERMS] += slope;
    }
#pragma unroll
    for (int t = 0; t <= TERMS; t++)
        sums[t][item] = sum[t];
    for (int half_ = GROUP / 2; half_ > 0; half_ /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (item < half_)
            for (int t = 0; t <= TERMS; t++)
                sums[t][item] += sums[t][item + half_];
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int t = item; t < TERMS; t += GROUP)
        if (first_tap + t < taps)
            of_w[(chunk * channels + channel) * taps + first_tap + t] = sums[t][0];
    if (item == 0 && first_tap == 0)
        of_b[chunk * channels + channel] = sums[TERMS][0];
}
