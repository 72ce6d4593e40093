// The gradient of average pooling for CPU cores: one work-item, alone in its work-group, does one channel of one image.
// Names as in refcnn/reference/average_pool2d.py.

// Pixels that the window at row and column divides by.
int pixels_counted(int row, int column, int height, int width, int kh, int kw, int count_include_padding)
{
    if (count_include_padding)
        return kh * kw;
    return (min(row + kh, height) - max(row, 0)) * (min(column + kw, width) - max(column, 0));
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
