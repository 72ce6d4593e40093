// Max pooling for CPU cores: one work-item, alone in its work-group, does one channel of one image.
// Names as in refcnn/reference/max_pool2d.py.

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
                    const int wins = (winner[j] < 0) | (pixel > largest) | (isnan(pixel) & !isnan(largest));
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
