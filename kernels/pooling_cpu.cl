// Poolings of any window for CPU cores: one work-item, alone in its work-group, does one channel of one image, WIDTH
// places of the window beside each other at once. Names as in pooling.cl.

#include "vectors.cl"
#include "pooling_taps.cl"

typedef union {
    vector all;
    float lane[WIDTH];
} tile;

typedef union {
    whole all;
    int lane[WIDTH];
} whole_tile;

// Sums are blocked: of about so many terms at most, one after the other, and then of such sums, so that the error of a
// long one stays small.
#define TERMS 1024

// WIDTH numbers from a place of a volume on, a step apart; for those outside of the volume others of it stand in.
inline vector strided(__global const float *restrict x, int at, int step, int pixels)
{
    if (step == 1 && at >= 0 && at + WIDTH <= pixels)
        return LOAD(x + at);
    tile found;
    if (step == 2 && at >= 0 && at + 2 * WIDTH <= pixels) {
        found.all.lo = LOAD(x + at).even;
        found.all.hi = LOAD(x + at + WIDTH).even;
    } else
        for (int n = 0; n < WIDTH; n++)
            found.lane[n] = x[clamp(at + n * step, 0, pixels - 1)];
    return found.all;
}

// Adds to WIDTH numbers from a place of a volume on, a step apart, those of them that are inside.
inline void add_strided(__global float *restrict x, int at, int step, int pixels, whole inside, vector added)
{
    if (step == 1 && at >= 0 && at + WIDTH <= pixels) {
        const vector former = LOAD(x + at);
        STORE(x + at, inside ? former + added : former);
    } else {
        tile terms = {added};
        whole_tile chosen = {inside};
        for (int n = 0; n < WIDTH; n++)
            if (chosen.lane[n])
                x[at + n * step] += terms.lane[n];
    }
}

// The next WIDTH numbers of a row, with 0 behind its end, which is so many numbers away.
inline vector some_of(__global const float *restrict row, int count)
{
    if (count >= WIDTH)
        return LOAD(row);
    tile found = {(vector)(0.0f)};
    for (int n = 0; n < count; n++)
        found.lane[n] = row[n];
    return found.all;
}

// Writes the next WIDTH numbers of a row, or as many as there are to its end.
inline void put_some(__global float *restrict row, int count, vector numbers)
{
    if (count >= WIDTH) {
        STORE(row, numbers);
    } else {
        tile written = {numbers};
        for (int n = 0; n < count; n++)
            row[n] = written.lane[n];
    }
}

// The largest pixel, NaN if one is NaN, and where in x it is first.
__kernel void largest_forward(
    __global const float *restrict x, __global float *restrict y, __global long *restrict indices,
    int depth, int height, int width, int out_d, int out_h, int out_w, int kd, int kh, int kw,
    int s_d, int s_h, int s_w, int d_d, int d_h, int d_w, int front, int top, int left)
{
    const int pixels = depth * height * width, places = out_d * out_h * out_w;
    const size_t before = get_group_id(0) * pixels;
    x += before;
    y += get_group_id(0) * places;
    indices += get_group_id(0) * places;
    for (int line = 0; line < out_d * out_h; line++)
        for (int first = 0; first < out_w; first += WIDTH) {
            const int l = line / out_h, i = line % out_h, place = line * out_w + first;
            const whole columns = (first + LANES) * s_w - left;
            vector largest = 0.0f;
            whole_tile best = {(whole)(-1)};
            for (int o = 0; o < kd; o++) {
                const int plane = l * s_d - front + o * d_d;
                if (plane < 0 || plane >= depth)
                    continue;
                for (int p = 0; p < kh; p++) {
                    const int row = i * s_h - top + p * d_h;
                    if (row < 0 || row >= height)
                        continue;
                    for (int q = 0; q < kw; q++) {
                        const whole column = columns + q * d_w, inside = column >= 0 && column < width;
                        const int at = (plane * height + row) * width + first * s_w - left + q * d_w;
                        const vector pixel = strided(x, at, s_w, pixels);
                        const whole wins =
                            inside && (best.all < 0 || pixel > largest || (isnan(pixel) && !isnan(largest)));
                        largest = wins ? pixel : largest;
                        best.all = wins ? at + s_w * LANES : best.all;
                    }
                }
            }
            put_some(y + place, out_w - first, largest);
            for (int n = 0; n < min(WIDTH, out_w - first); n++)
                indices[place + n] = before + best.lane[n];
        }
}

// Each dy is added at the pixel that won.
__kernel void largest_backward(
    __global const float *restrict dy, __global const long *restrict indices, __global float *restrict dx,
    int depth, int height, int width, int out_d, int out_h, int out_w, int kd, int kh, int kw,
    int s_d, int s_h, int s_w, int d_d, int d_h, int d_w, int front, int top, int left)
{
    const int pixels = depth * height * width, places = out_d * out_h * out_w;
    const size_t before = get_group_id(0) * pixels;
    dx += before;
    dy += get_group_id(0) * places;
    indices += get_group_id(0) * places;
    for (int pixel = 0; pixel < pixels; pixel++)
        dx[pixel] = 0.0f;
    for (int place = 0; place < places; place++)
        dx[indices[place] - before] += dy[place];
}

// |x|^p of numbers that are not below 0.
inline vector to_the_power(vector x, int p)
{
    return p == 1 ? x : p == 2 ? x * x : p == 3 ? x * x * x : pown(x, (whole)(p));
}

// The sums of the pixels, or with p of |pixel|^p, under WIDTH windows beside each other, of which the first begins at a
// plane, a row and a column.
inline vector sum_windows(
    __global const float *restrict x, int first_plane, int first_row, int first_column,
    int depth, int height, int width, int kd, int kh, int kw, int s_w, int d_d, int d_h, int d_w, int p)
{
    const whole columns = LANES * s_w + first_column;
    vector sum = 0.0f, part = 0.0f;
    int terms = 0;
    for (int o = 0; o < kd; o++) {
        const int plane = first_plane + o * d_d;
        if (plane < 0 || plane >= depth)
            continue;
        for (int a = 0; a < kh; a++) {
            const int row = first_row + a * d_h;
            if (row < 0 || row >= height)
                continue;
            if (terms + kw > TERMS) {
                sum += part;
                part = 0.0f;
                terms = 0;
            }
            terms += kw;
            for (int b = 0; b < kw; b++) {
                const whole column = columns + b * d_w, inside = column >= 0 && column < width;
                const int at = (plane * height + row) * width + first_column + b * d_w;
                const vector pixel = inside ? strided(x, at, s_w, depth * height * width) : (vector)(0.0f);
                part += p == 0 ? pixel : to_the_power(fabs(pixel), p);
            }
        }
    }
    return sum + part;
}

// The mean over the taps that lie in the image, or in as much of the padding around it as counts.
__kernel void mean_forward(
    __global const float *restrict x, __global float *restrict y,
    int depth, int height, int width, int out_d, int out_h, int out_w, int kd, int kh, int kw,
    int s_d, int s_h, int s_w, int d_d, int d_h, int d_w, int front, int top, int left,
    int counted_front, int counted_top, int counted_left, int counted_back, int counted_bottom, int counted_right)
{
    const int pixels = depth * height * width, places = out_d * out_h * out_w;
    x += get_group_id(0) * pixels;
    y += get_group_id(0) * places;
    for (int line = 0; line < out_d * out_h; line++)
        for (int first = 0; first < out_w; first += WIDTH) {
            const int l = line / out_h, i = line % out_h, place = line * out_w + first;
            const whole columns = (first + LANES) * s_w - left;
            const vector sum = sum_windows(x, l * s_d - front, i * s_h - top, first * s_w - left, depth, height, width,
                                           kd, kh, kw, s_w, d_d, d_h, d_w, 0);
            const int lines = taps_within(l * s_d - front, kd, d_d, -counted_front, depth + counted_back) *
                              taps_within(i * s_h - top, kh, d_h, -counted_top, height + counted_bottom);
            const vector counts = lines * taps_within_columns(columns, kw, d_w, -counted_left, width + counted_right);
            put_some(y + place, out_w - first, sum / counts);
        }
}

// Each window hands every pixel under it its share. Taps come last to first, so that a pixel meets windows in order.
__kernel void mean_backward(
    __global const float *restrict dy, __global float *restrict dx,
    int depth, int height, int width, int out_d, int out_h, int out_w, int kd, int kh, int kw,
    int s_d, int s_h, int s_w, int d_d, int d_h, int d_w, int front, int top, int left,
    int counted_front, int counted_top, int counted_left, int counted_back, int counted_bottom, int counted_right)
{
    const int pixels = depth * height * width, places = out_d * out_h * out_w;
    dx += get_group_id(0) * pixels;
    dy += get_group_id(0) * places;
    for (int pixel = 0; pixel < pixels; pixel++)
        dx[pixel] = 0.0f;
    for (int line = 0; line < out_d * out_h; line++)
        for (int first = 0; first < out_w; first += WIDTH) {
            const int l = line / out_h, i = line % out_h, place = line * out_w + first;
            const whole columns = (first + LANES) * s_w - left;
            const int lines = taps_within(l * s_d - front, kd, d_d, -counted_front, depth + counted_back) *
                              taps_within(i * s_h - top, kh, d_h, -counted_top, height + counted_bottom);
            const vector counts = lines * taps_within_columns(columns, kw, d_w, -counted_left, width + counted_right);
            const vector share = some_of(dy + place, out_w - first) / counts;
            for (int o = 0; o < kd; o++) {
                const int plane = l * s_d - front + o * d_d;
                if (plane < 0 || plane >= depth)
                    continue;
                for (int p = 0; p < kh; p++) {
                    const int row = i * s_h - top + p * d_h;
                    if (row < 0 || row >= height)
                        continue;
                    for (int q = kw - 1; q >= 0; q--) {
                        const whole column = columns + q * d_w, inside = column >= 0 && column < width;
                        const int at = (plane * height + row) * width + first * s_w - left + q * d_w;
                        add_strided(dx, at, s_w, pixels, inside, share);
                    }
                }
            }
        }
}

// The p-norm of the pixels.
__kernel void norm_forward(
    __global const float *restrict x, __global float *restrict y,
    int depth, int height, int width, int out_d, int out_h, int out_w, int kd, int kh, int kw,
    int s_d, int s_h, int s_w, int d_d, int d_h, int d_w, int front, int top, int left, int p)
{
    const int pixels = depth * height * width, places = out_d * out_h * out_w;
    x += get_group_id(0) * pixels;
    y += get_group_id(0) * places;
    for (int line = 0; line < out_d * out_h; line++)
        for (int first = 0; first < out_w; first += WIDTH) {
            const int l = line / out_h, i = line % out_h, place = line * out_w + first;
            const vector sum = sum_windows(x, l * s_d - front, i * s_h - top, first * s_w - left, depth, height, width,
                                           kd, kh, kw, s_w, d_d, d_h, d_w, p);
            put_some(y + place, out_w - first, p == 1 ? sum : p == 2 ? sqrt(sum) : rootn(sum, (whole)(p)));
        }
}

// Each window hands the pixels under it dy by the slope of its norm, (|x| / y)^(p - 1) with the sign of x.
__kernel void norm_backward(
    __global const float *restrict dy, __global const float *restrict x, __global const float *restrict y,
    __global float *restrict dx,
    int depth, int height, int width, int out_d, int out_h, int out_w, int kd, int kh, int kw,
    int s_d, int s_h, int s_w, int d_d, int d_h, int d_w, int front, int top, int left, int p)
{
    const int pixels = depth * height * width, places = out_d * out_h * out_w;
    x += get_group_id(0) * pixels;
    dx += get_group_id(0) * pixels;
    y += get_group_id(0) * places;
    dy += get_group_id(0) * places;
    for (int pixel = 0; pixel < pixels; pixel++)
        dx[pixel] = 0.0f;
    for (int line = 0; line < out_d * out_h; line++)
        for (int first = 0; first < out_w; first += WIDTH) {
            const int l = line / out_h, i = line % out_h, place = line * out_w + first;
            const whole columns = (first + LANES) * s_w - left;
            const vector gradient = some_of(dy + place, out_w - first), found = some_of(y + place, out_w - first);
            const vector norm = found == 0.0f ? (vector)(1.0f) : found;
            // The slope of no window may be NaN, which 0 does not hide.
            const whole is_place = first + LANES < out_w;
            for (int o = 0; o < kd; o++) {
                const int plane = l * s_d - front + o * d_d;
                if (plane < 0 || plane >= depth)
                    continue;
                for (int a = 0; a < kh; a++) {
                    const int row = i * s_h - top + a * d_h;
                    if (row < 0 || row >= height)
                        continue;
                    for (int b = kw - 1; b >= 0; b--) {
                        const whole column = columns + b * d_w, inside = column >= 0 && column < width;
                        const int at = (plane * height + row) * width + first * s_w - left + b * d_w;
                        const vector pixel = strided(x, at, s_w, pixels);
                        const vector direction = isnan(pixel) ? pixel : sign(pixel);
                        const vector slope = p == 1 ? direction : direction * to_the_power(fabs(pixel) / norm, p - 1);
                        add_strided(dx, at, s_w, pixels, inside && is_place, gradient * slope);
                    }
                }
            }
        }
}
