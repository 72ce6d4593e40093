// Poolings without gradients for CPU cores: one work-item, alone in its work-group, does one channel of one image. What
// is under a window is found for each of its columns first, down the rows, and then along that; names as in pooling.cl.

#include "vectors.cl"
#include "pooling_taps.cl"

// Columns whose results are kept at once: those under `most` windows of a row.
#define SPAN 512

#define LOAD_OWN(pointer) (*(const unaligned_vector *)(pointer))
#define STORE_OWN(pointer, value) *(unaligned_vector *)(pointer) = value

// The next WIDTH numbers of so many; those of others stand in for those behind the end.
inline vector next(__global const float *restrict x, int left)
{
    if (left >= WIDTH)
        return LOAD(x);
    float lanes[WIDTH];
    for (int n = 0; n < WIDTH; n++)
        lanes[n] = x[min(n, left - 1)];
    return LOAD_OWN(lanes);
}

// WIDTH of the kept numbers, a step apart.
inline vector kept(const float *span, int step)
{
    if (step == 1)
        return LOAD_OWN(span);
#if WIDTH > 1
    if (step == 2) {
        vector found;
        found.lo = LOAD_OWN(span).even;
        found.hi = LOAD_OWN(span + WIDTH).even;
        return found;
    }
#endif
    float lanes[WIDTH];
    for (int n = 0; n < WIDTH; n++)
        lanes[n] = span[n * step];
    return LOAD_OWN(lanes);
}

// The larger of two numbers, NaN if one is.
inline vector larger(vector a, vector b)
{
    return b > a || isnan(b) ? b : a;
}

inline vector sum(vector a, vector b)
{
    return a + b;
}

// Writes to y what a function of two numbers makes of those under each window, NOTHING being none; OF_WINDOW says what
// of that is written, of WIDTH windows from `column` of x on. Vectors that reach over the end of a row of y are written
// before the next row is.
#define POOL(FUNCTION, NOTHING, OF_WINDOW)                                                                     \
    const int pixels = depth * height * width, places = out_d * out_h * out_w, reach = (kw - 1) * d_w + 1;    \
    x += (size_t)get_group_id(0) * pixels;                                                                     \
    y += (size_t)get_group_id(0) * places;                                                                     \
    float span[2 * SPAN];                                                                                      \
    for (int line = 0; line < out_d * out_h; line++)                                                           \
        for (int first = 0; first < out_w; first += most) {                                                    \
            const int count = min(most, out_w - first), start = first * s_w - left;                            \
            const int first_plane = line / out_h * s_d - front, first_row = line % out_h * s_h - top;          \
            const int columns = (count - 1) * s_w + reach;                                                     \
            const int begin = clamp(-start, 0, columns), end = clamp(width - start, begin, columns);           \
            for (int n = 0; n < begin; n++)                                                                    \
                span[n] = NOTHING;                                                                             \
            for (int n = begin; n < end; n += WIDTH) {                                                         \
                vector found = NOTHING;                                                                        \
                for (int o = 0; o < kd; o++)                                                                   \
                    for (int p = 0; p < kh; p++) {                                                             \
                        const int plane = first_plane + o * d_d, row = first_row + p * d_h;                    \
                        const int at = (plane * height + row) * width + start + n;                             \
                        if (plane >= 0 && plane < depth && row >= 0 && row < height)                           \
                            found = FUNCTION(found, next(x + at, pixels - at));                                \
                    }                                                                                          \
                STORE_OWN(span + n, found);                                                                    \
            }                                                                                                  \
            for (int n = end; n < columns + (WIDTH - 1) * s_w; n++)                                            \
                span[n] = NOTHING;                                                                             \
            for (int n = 0; n < count; n += WIDTH) {                                                           \
                const int place = line * out_w + first + n, column = start + n * s_w;                          \
                vector found = kept(span + n * s_w, s_w);                                                      \
                for (int q = 1; q < kw; q++)                                                                   \
                    found = FUNCTION(found, kept(span + n * s_w + q * d_w, s_w));                              \
                found = OF_WINDOW;                                                                             \
                if (place + WIDTH <= places) {                                                                 \
                    STORE(y + place, found);                                                                   \
                } else {                                                                                       \
                    float lanes[WIDTH];                                                                        \
                    STORE_OWN(lanes, found);                                                                   \
                    for (int lane = 0; lane < count - n; lane++)                                               \
                        y[place + lane] = lanes[lane];                                                         \
                }                                                                                              \
            }                                                                                                  \
        }

// The largest pixel, NaN if one is NaN.
__kernel void largest_of_rows(
    __global const float *restrict x, __global float *restrict y,
    int depth, int height, int width, int out_d, int out_h, int out_w, int kd, int kh, int kw,
    int s_d, int s_h, int s_w, int d_d, int d_h, int d_w, int front, int top, int left, int most)
{
    POOL(larger, -INFINITY, found)
}

// The mean over the taps that lie in the image, or in as much of the padding around it as counts.
__kernel void mean_of_rows(
    __global const float *restrict x, __global float *restrict y,
    int depth, int height, int width, int out_d, int out_h, int out_w, int kd, int kh, int kw,
    int s_d, int s_h, int s_w, int d_d, int d_h, int d_w, int front, int top, int left,
    int counted_front, int counted_top, int counted_left, int counted_back, int counted_bottom, int counted_right,
    int most)
{
    POOL(sum, 0.0f,
         found / ((float)(taps_within(first_plane, kd, d_d, -counted_front, depth + counted_back) *
                          taps_within(first_row, kh, d_h, -counted_top, height + counted_bottom)) *
                  taps_within_columns(column + LANES * s_w, kw, d_w, -counted_left, width + counted_right)))
}
