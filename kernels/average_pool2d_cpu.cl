// Average pooling for CPU cores: one work-item, alone in its work-group, does one channel of one image.
// Names as in refcnn/reference/average_pool2d.py.

// Sums are blocked: of about so many terms at most, one after the other, and then of such sums, so that the error of a
// long one stays small.
#define TERMS 1024

// Pixels that the window at row and column divides by.
int pixels_counted(int row, int column, int height, int width, int kh, int kw, int count_include_padding)
{
    if (count_include_padding)
        return kh * kw;
    return (min(row + kh, height) - max(row, 0)) * (min(column + kw, width) - max(column, 0));
}

// The taps are the outer loops, so that the inner one runs along a row and has no branches.
__kernel void average_pool2d_forward(
    __global const float *restrict x, __global float *restrict y,
    int maps, int height, int width, int out_h, int out_w, int kh, int kw, int s_h, int s_w, int top, int left,
    int count_include_padding)
{
    const int map = get_group_id(0);
    if (map >= maps)
        return;
    x += (size_t)map * height * width;
    y += (size_t)map * out_h * out_w;
    for (int i = 0; i < out_h; i++, y += out_w) {
        const int row = i * s_h - top;
        for (int j = 0; j < out_w; j++)
            y[j] = 0.0f;
        if (kh * kw > TERMS) {
            for (int j = 0; j < out_w; j++) {
                const int q_begin = max(0, left - j * s_w), q_end = min(kw, width + left - j * s_w);
                float part = 0.0f;
                for (int p = max(0, -row), terms = 0; p < min(kh, height - row); p++, terms += kw) {
                    if (terms + kw > TERMS) {
                        y[j] += part;
                        part = 0.0f;
                        terms = 0;
                    }
                    for (int q = q_begin; q < q_end; q++)
                        part += x[(row + p) * width + j * s_w - left + q];
                }
                y[j] += part;
            }
        } else
            for (int p = max(0, -row); p < min(kh, height - row); p++)
                for (int q = 0; q < kw; q++) {
                    __global const float *pixels = x + (row + p) * width + q - left;
                    // Those windows whose tap lies inside the row.
                    const int j_begin = max(0, (left - q + s_w - 1) / s_w);
                    const int j_end = min(out_w, (width + left - q + s_w - 1) / s_w);
                    for (int j = j_begin; j < j_end; j++)
                        y[j] += pixels[j * s_w];
                }
        for (int j = 0; j < out_w; j++)
            y[j] = y[j] / pixels_counted(row, j * s_w - left, height, width, kh, kw, count_include_padding);
    }
}

__kernel void average_pool2d_backward(
    __global const float *restrict dy, __global float *restrict dx,
    int maps, int height, int width, int out_h, int out_w, int kh, int kw, int s_h, int s_w, int top, int left,
    int count_include_padding)
{
    const int map = get_group_id(0);
    if (map >= maps)
        return;
    dx += (size_t)map * height * width;
    dy += (size_t)map * out_h * out_w;
    for (int pixel = 0; pixel < height * width; pixel++)
        dx[pixel] = 0.0f;
    for (int i = 0; i < out_h; i++)
        for (int j = 0; j < out_w; j++) {
            const int row = i * s_h - top, column = j * s_w - left;
            const int count = pixels_counted(row, column, height, width, kh, kw, count_include_padding);
            const float share = dy[i * out_w + j] / count;
            for (int p = max(0, -row); p < min(kh, height - row); p++)
                for (int q = max(0, -column); q < min(kw, width - column); q++)
                    dx[(row + p) * width + column + q] += share;
        }
}
