/* Poolings whose windows have taps apart from each other, slide over three spatial axes, or count in their own way: one
   work-item for each number that is written. Where windows are simpler there are faster kernels beside these.
   Names as in refcnn/reference/max_pool2d_with_indices.py, average_pool2d.py and lp_pool2d.py; what has the name of an
   axis, d for depth, h or w, goes along it. maps is N C: every channel of every image is pooled by itself. */

/* Sums are blocked: of about so many terms at most, one after the other, and then of such sums, so that the error of a
   long one stays small. */
#define TERMS 1024
#define BEGIN_ROW(taps)                \
    {                                  \
        if (terms + taps > TERMS) {    \
            sum += part;               \
            part = 0.0f;               \
            terms = 0;                 \
        }                              \
        terms += taps;                 \
    }

/* The first and the last place of a window along an axis from which it may reach a pixel so far behind its first place;
   between its taps there may be gaps. */
int first_place(int distance, int taps, int spread, int step)
{
    return max(0, (distance - (taps - 1) * spread + step - 1) / step);
}

int last_place(int distance, int step, int places)
{
    return min(places - 1, distance / step);
}

/* Taps from a first one on, spread apart, that lie from begin to end. */
int taps_within(int first, int taps, int spread, int begin, int end)
{
    int count = 0;
    for (int tap = 0; tap < taps; tap++)
        count += first + tap * spread >= begin && first + tap * spread < end;
    return count;
}

/* The largest pixel, NaN if one is NaN, and where in x it is first. */
__kernel void largest_forward(
    __global const float *restrict x, __global float *restrict y, __global long *restrict indices,
    int maps, int depth, int height, int width, int out_d, int out_h, int out_w, int kd, int kh, int kw,
    int s_d, int s_h, int s_w, int d_d, int d_h, int d_w, int front, int top, int left)
{
    const int place = get_global_id(0);
    if (place >= maps * out_d * out_h * out_w)
        return;
    const int j = place % out_w, i = place / out_w % out_h, l = place / out_w / out_h % out_d;
    const int map = place / out_w / out_h / out_d;
    float largest = 0.0f;
    int best = -1;
    for (int o = 0; o < kd; o++) {
        const int plane = l * s_d - front + o * d_d;
        if (plane < 0 || plane >= depth)
            continue;
        for (int p = 0; p < kh; p++) {
            const int row = i * s_h - top + p * d_h;
            if (row < 0 || row >= height)
                continue;
            for (int q = 0; q < kw; q++) {
                const int column = j * s_w - left + q * d_w;
                if (column < 0 || column >= width)
                    continue;
                const int at = ((map * depth + plane) * height + row) * width + column;
                const float pixel = x[at];
                if (best < 0 || pixel > largest || (isnan(pixel) && !isnan(largest))) {
                    largest = pixel;
                    best = at;
                }
            }
        }
    }
    y[place] = largest;
    indices[place] = best;
}

/* Each pixel adds the dy of the windows that it won. */
__kernel void largest_backward(
    __global const float *restrict dy, __global const long *restrict indices, __global float *restrict dx,
    int maps, int depth, int height, int width, int out_d, int out_h, int out_w, int kd, int kh, int kw,
    int s_d, int s_h, int s_w, int d_d, int d_h, int d_w, int front, int top, int left)
{
    const int at = get_global_id(0);
    if (at >= maps * depth * height * width)
        return;
    const int column = at % width, row = at / width % height, plane = at / width / height % depth;
    const int map = at / width / height / depth;
    const int l_first = first_place(plane + front, kd, d_d, s_d), l_last = last_place(plane + front, s_d, out_d);
    const int i_first = first_place(row + top, kh, d_h, s_h), i_last = last_place(row + top, s_h, out_h);
    const int j_first = first_place(column + left, kw, d_w, s_w), j_last = last_place(column + left, s_w, out_w);
    float sum = 0.0f;
    for (int l = l_first; l <= l_last; l++)
        for (int i = i_first; i <= i_last; i++)
            for (int j = j_first; j <= j_last; j++) {
                const int place = ((map * out_d + l) * out_h + i) * out_w + j;
                if (indices[place] == at)
                    sum += dy[place];
            }
    dx[at] = sum;
}

/* The mean over the taps that lie in the image, or in as much of the padding around it as counts: counted_front and so
   on before the image along each axis, counted_back and so on behind it. */
__kernel void mean_forward(
    __global const float *restrict x, __global float *restrict y,
    int maps, int depth, int height, int width, int out_d, int out_h, int out_w, int kd, int kh, int kw,
    int s_d, int s_h, int s_w, int d_d, int d_h, int d_w, int front, int top, int left,
    int counted_front, int counted_top, int counted_left, int counted_back, int counted_bottom, int counted_right)
{
    const int place = get_global_id(0);
    if (place >= maps * out_d * out_h * out_w)
        return;
    const int j = place % out_w, i = place / out_w % out_h, l = place / out_w / out_h % out_d;
    const int map = place / out_w / out_h / out_d;
    float sum = 0.0f, part = 0.0f;
    int terms = 0;
    for (int o = 0; o < kd; o++) {
        const int plane = l * s_d - front + o * d_d;
        if (plane < 0 || plane >= depth)
            continue;
        for (int p = 0; p < kh; p++) {
            const int row = i * s_h - top + p * d_h;
            if (row < 0 || row >= height)
                continue;
            BEGIN_ROW(kw)
            for (int q = 0; q < kw; q++) {
                const int column = j * s_w - left + q * d_w;
                if (column >= 0 && column < width)
                    part += x[((map * depth + plane) * height + row) * width + column];
            }
        }
    }
    sum += part;
    const int count = taps_within(l * s_d - front, kd, d_d, -counted_front, depth + counted_back) *
                      taps_within(i * s_h - top, kh, d_h, -counted_top, height + counted_bottom) *
                      taps_within(j * s_w - left, kw, d_w, -counted_left, width + counted_right);
    y[place] = sum / count;
}

/* Each pixel adds its share of every window over it. */
__kernel void mean_backward(
    __global const float *restrict dy, __global float *restrict dx,
    int maps, int depth, int height, int width, int out_d, int out_h, int out_w, int kd, int kh, int kw,
    int s_d, int s_h, int s_w, int d_d, int d_h, int d_w, int front, int top, int left,
    int counted_front, int counted_top, int counted_left, int counted_back, int counted_bottom, int counted_right)
{
    const int at = get_global_id(0);
    if (at >= maps * depth * height * width)
        return;
    const int column = at % width, row = at / width % height, plane = at / width / height % depth;
    const int map = at / width / height / depth;
    const int l_first = first_place(plane + front, kd, d_d, s_d), l_last = last_place(plane + front, s_d, out_d);
    const int i_first = first_place(row + top, kh, d_h, s_h), i_last = last_place(row + top, s_h, out_h);
    const int j_first = first_place(column + left, kw, d_w, s_w), j_last = last_place(column + left, s_w, out_w);
    float sum = 0.0f;
    for (int l = l_first; l <= l_last; l++) {
        if ((plane + front - l * s_d) % d_d != 0)
            continue;
        const int planes = taps_within(l * s_d - front, kd, d_d, -counted_front, depth + counted_back);
        for (int i = i_first; i <= i_last; i++) {
            if ((row + top - i * s_h) % d_h != 0)
                continue;
            const int rows = taps_within(i * s_h - top, kh, d_h, -counted_top, height + counted_bottom);
            for (int j = j_first; j <= j_last; j++) {
                if ((column + left - j * s_w) % d_w != 0)
                    continue;
                const int columns = taps_within(j * s_w - left, kw, d_w, -counted_left, width + counted_right);
                sum += dy[((map * out_d + l) * out_h + i) * out_w + j] / (planes * rows * columns);
            }
        }
    }
    dx[at] = sum;
}

/* |x|^p of a number that is not below 0. */
float to_the_power(float x, int p)
{
    return p == 1 ? x : p == 2 ? x * x : pown(x, p);
}

/* The p-norm of the pixels. */
__kernel void norm_forward(
    __global const float *restrict x, __global float *restrict y,
    int maps, int depth, int height, int width, int out_d, int out_h, int out_w, int kd, int kh, int kw,
    int s_d, int s_h, int s_w, int d_d, int d_h, int d_w, int front, int top, int left, int p)
{
    const int place = get_global_id(0);
    if (place >= maps * out_d * out_h * out_w)
        return;
    const int j = place % out_w, i = place / out_w % out_h, l = place / out_w / out_h % out_d;
    const int map = place / out_w / out_h / out_d;
    float sum = 0.0f, part = 0.0f;
    int terms = 0;
    for (int o = 0; o < kd; o++) {
        const int plane = l * s_d - front + o * d_d;
        if (plane < 0 || plane >= depth)
            continue;
        for (int a = 0; a < kh; a++) {
            const int row = i * s_h - top + a * d_h;
            if (row < 0 || row >= height)
                continue;
            BEGIN_ROW(kw)
            for (int b = 0; b < kw; b++) {
                const int column = j * s_w - left + b * d_w;
                if (column >= 0 && column < width)
                    part += to_the_power(fabs(x[((map * depth + plane) * height + row) * width + column]), p);
            }
        }
    }
    sum += part;
    y[place] = p == 1 ? sum : p == 2 ? sqrt(sum) : rootn(sum, p);
}

/* Each pixel adds dy of every window over it, by the slope of its norm. */
__kernel void norm_backward(
    __global const float *restrict dy, __global const float *restrict x, __global const float *restrict y,
    __global float *restrict dx,
    int maps, int depth, int height, int width, int out_d, int out_h, int out_w, int kd, int kh, int kw,
    int s_d, int s_h, int s_w, int d_d, int d_h, int d_w, int front, int top, int left, int p)
{
    const int at = get_global_id(0);
    if (at >= maps * depth * height * width)
        return;
    const int column = at % width, row = at / width % height, plane = at / width / height % depth;
    const int map = at / width / height / depth;
    const float pixel = x[at];
    const float direction = isnan(pixel) ? pixel : sign(pixel);
    const int l_first = first_place(plane + front, kd, d_d, s_d), l_last = last_place(plane + front, s_d, out_d);
    const int i_first = first_place(row + top, kh, d_h, s_h), i_last = last_place(row + top, s_h, out_h);
    const int j_first = first_place(column + left, kw, d_w, s_w), j_last = last_place(column + left, s_w, out_w);
    float sum = 0.0f;
    for (int l = l_first; l <= l_last; l++) {
        if ((plane + front - l * s_d) % d_d != 0)
            continue;
        for (int i = i_first; i <= i_last; i++) {
            if ((row + top - i * s_h) % d_h != 0)
                continue;
            for (int j = j_first; j <= j_last; j++) {
                if ((column + left - j * s_w) % d_w != 0)
                    continue;
                const int place = ((map * out_d + l) * out_h + i) * out_w + j;
                const float share = fabs(pixel) / (y[place] == 0.0f ? 1.0f : y[place]);
                sum += dy[place] * (p == 1 ? direction : direction * to_the_power(share, p - 1));
            }
        }
    }
    dx[at] = sum;
}
