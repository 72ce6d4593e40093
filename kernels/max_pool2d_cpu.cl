// Max pooling for CPU cores: one work-item, alone in its work-group, does one channel of one image.
// Names as in refcnn/reference/max_pool2d.py.

typedef float4 unaligned_float4 __attribute__((aligned(4)));
typedef float8 unaligned_float8 __attribute__((aligned(4)));
typedef int4 unaligned_int4 __attribute__((aligned(4)));

// Whether a pixel is taken in the place of the largest of those before it: NaN is, and stays.
#define WINS(pixel, largest) ((pixel) > (largest) | (isnan(pixel) & !isnan(largest)))

// Windows of 2x2 pixels side by side, all of them inside the image: four of a row at once, the last ones together with
// some before them.
inline void max_pool2d_in_fours(__global const float *restrict x, __global float *restrict y,
                                __global int *restrict winner, int width, int out_h, int out_w)
{
    for (int i = 0; i < out_h; i++, x += 2 * width, y += out_w, winner += out_w)
        for (int j = 0; j < out_w; j += 4) {
            const int first = min(j, out_w - 4);
            const float8 upper = *(__global const unaligned_float8 *)(x + 2 * first);
            const float8 lower = *(__global const unaligned_float8 *)(x + width + 2 * first);
            float4 largest = upper.even;
            int4 tap = 0, wins = WINS(upper.odd, largest);
            largest = wins ? upper.odd : largest;
            tap = wins ? 1 : tap;
            wins = WINS(lower.even, largest);
            largest = wins ? lower.even : largest;
            tap = wins ? 2 : tap;
            wins = WINS(lower.odd, largest);
            *(__global unaligned_float4 *)(y + first) = wins ? lower.odd : largest;
            *(__global unaligned_int4 *)(winner + first) = wins ? 3 : tap;
        }
}

// The taps are the outer loops, so that the inner one runs along a row and has no branches.
__kernel void max_pool2d_forward(
    __global const float *restrict x, __global float *restrict y, __global int *restrict winner,
    int maps, int height, int width, int out_h, int out_w, int kh, int kw, int s_h, int s_w, int top, int left)
{
    const int map = get_group_id(0);
    if (map >= maps)
        return;
    x += (size_t)map * height * width;
    y += (size_t)map * out_h * out_w;
    winner += (size_t)map * out_h * out_w;
    if (kh == 2 && kw == 2 && s_h == 2 && s_w == 2 && top == 0 && left == 0 && 2 * out_h <= height
        && 2 * out_w <= width && out_w >= 4) {
        max_pool2d_in_fours(x, y, winner, width, out_h, out_w);
        return;
    }
    for (int i = 0; i < out_h; i++, y += out_w, winner += out_w) {
        const int row = i * s_h - top;
        for (int j = 0; j < out_w; j++) {
            y[j] = 0.0f;
            winner[j] = -1;
        }
        for (int p = max(0, -row); p < min(kh, height - row); p++)
            for (int q = 0; q < kw; q++) {
                __global const float *pixels = x + (row + p) * width + q - left;
                const int tap = p * kw + q;
                // Those windows whose tap lies inside the row.
                const int j_begin = max(0, (left - q + s_w - 1) / s_w);
                const int j_end = min(out_w, (width + left - q + s_w - 1) / s_w);
                for (int j = j_begin; j < j_end; j++) {
                    const float pixel = pixels[j * s_w], largest = y[j];
                    const int wins = (winner[j] < 0) | WINS(pixel, largest);
                    y[j] = wins ? pixel : largest;
                    winner[j] = wins ? tap : winner[j];
                }
            }
    }
}

__kernel void max_pool2d_backward(
    __global const float *restrict dy, __global const int *restrict winner, __global float *restrict dx,
    int maps, int height, int width, int out_h, int out_w, int kh, int kw, int s_h, int s_w, int top, int left)
{
    const int map = get_group_id(0);
    if (map >= maps)
        return;
    dx += (size_t)map * height * width;
    dy += (size_t)map * out_h * out_w;
    winner += (size_t)map * out_h * out_w;
    for (int pixel = 0; pixel < height * width; pixel++)
        dx[pixel] = 0.0f;
    for (int i = 0; i < out_h; i++)
        for (int j = 0; j < out_w; j++) {
            const int tap = winner[i * out_w + j];
            const int row = i * s_h - top + tap / kw, column = j * s_w - left + tap % kw;
            dx[row * width + column] += dy[i * out_w + j];
        }
}
