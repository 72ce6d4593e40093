/* The mean of the pixels under a sliding window; see refcnn/reference/average_pool2d.py.
   maps is N C: every channel of every image is pooled by itself. */

/* Sums are blocked: of about so many terms at most, one after the other, and then of such sums, so that the error of a
   long one stays small. */
#define TERMS 1024

int pixels_counted(int row, int column, int height, int width, int kh, int kw, int count_include_padding)
{
    if (count_include_padding)
        return kh * kw;
    return (min(row + kh, height) - max(row, 0)) * (min(column + kw, width) - max(column, 0));
}

__kernel void average_pool2d_forward(__global const float *x, __global float *y,
                                     int maps, int height, int width, int out_h, int out_w,
                                     int kh, int kw, int s_h, int s_w, int top, int left, int count_include_padding)
{
    int j = get_global_id(0), i = get_global_id(1), map = get_global_id(2);
    if (j >= out_w || i >= out_h || map >= maps)
        return;
    __global const float *image = x + (size_t)map * height * width;
    int row = i * s_h - top, column = j * s_w - left;
    float sum = 0.0f, part = 0.0f;
    for (int p = max(0, -row), terms = 0; p < min(kh, height - row); p++, terms += kw) {
        if (terms + kw > TERMS) {
            sum += part;
            part = 0.0f;
            terms = 0;
        }
        for (int q = max(0, -column); q < min(kw, width - column); q++)
            part += image[(row + p) * width + column + q];
    }
    sum += part;
    int count = pixels_counted(row, column, height, width, kh, kw, count_include_padding);
    y[((size_t)map * out_h + i) * out_w + j] = sum / count;
}

/* One work-item for each pixel of x: it adds its share of every window over it. */
__kernel void average_pool2d_backward(__global const float *dy, __global float *dx,
                                      int maps, int height, int width, int out_h, int out_w,
                                      int kh, int kw, int s_h, int s_w, int top, int left, int count_include_padding)
{
    int column = get_global_id(0), row = get_global_id(1), map = get_global_id(2);
    if (column >= width || row >= height || map >= maps)
        return;
    int i_first = max(0, (row + top - kh + s_h) / s_h), i_last = min(out_h - 1, (row + top) / s_h);
    int j_first = max(0, (column + left - kw + s_w) / s_w), j_last = min(out_w - 1, (column + left) / s_w);
    float sum = 0.0f;
    for (int i = i_first; i <= i_last; i++)
        for (int j = j_first; j <= j_last; j++) {
            int count = pixels_counted(i * s_h - top, j * s_w - left, height, width, kh, kw, count_include_padding);
            sum += dy[((size_t)map * out_h + i) * out_w + j] / count;
        }
    dx[((size_t)map * height + row) * width + column] = sum;
}
