// Convolution of volumes, plainly: one work-item for each element of the result. Names as in
// refcnn/reference/conv2d.py, with depth as the first of three spatial axes.

#define GEOMETRY                                                                                       \
    int N, int C, int D, int H, int W, int K, int kernel_d, int kernel_h, int kernel_w, int out_d, int out_h, \
    int out_w, int groups, int front, int top, int left, int s_d, int s_h, int s_w, int d_d, int d_h, int d_w

// Dimension 0: pixels of y; 1: (n, k).
__kernel void forward(
    __global const float *x, __global const float *w, __global const float *b, int has_bias, __global float *y,
    GEOMETRY)
{
    const int pixel = get_global_id(0);
    const int n = get_global_id(1) / K, k = get_global_id(1) % K;
    if (pixel >= out_d * out_h * out_w || n >= N)
        return;
    const int h = pixel / (out_h * out_w), i = pixel / out_w % out_h, j = pixel % out_w;
    const int inputs = C / groups;
    const int first_c = k / (K / groups) * inputs;
    float sum = has_bias ? b[k] : 0.0f;
    for (int c = 0; c < inputs; c++)
        for (int o = 0; o < kernel_d; o++) {
            const int slice = h * s_d + o * d_d - front;
            if (slice < 0 || slice >= D)
                continue;
            for (int p = 0; p < kernel_h; p++)
                for (int q = 0; q < kernel_w; q++) {
                    const int row = i * s_h + p * d_h - top, column = j * s_w + q * d_w - left;
                    if (row >= 0 && row < H && column >= 0 && column < W)
                        sum += x[(((n * C + first_c + c) * D + slice) * H + row) * W + column]
                            * w[(((k * inputs + c) * kernel_d + o) * kernel_h + p) * kernel_w + q];
                }
        }
    y[(n * K + k) * out_d * out_h * out_w + pixel] = sum;
}

// Dimension 0: pixels of x; 1: (n, c).
__kernel void backward_x(__global const float *dy, __global const float *w, __global float *dx, GEOMETRY)
{
    const int pixel = get_global_id(0);
    const int n = get_global_id(1) / C, c = get_global_id(1) % C;
    if (pixel >= D * H * W || n >= N)
        return;
    const int slice = pixel / (H * W), row = pixel / W % H, column = pixel % W;
    const int inputs = C / groups, outputs = K / groups;
    const int first_k = c / inputs * outputs;
    float sum = 0.0f;
    for (int k = first_k; k < first_k + outputs; k++)
        for (int o = 0; o < kernel_d; o++) {
            // The window whose tap (o, p, q) lies on this pixel, if there is one.
            const int from_front = slice + front - o * d_d, h = from_front / s_d;
            if (from_front < 0 || from_front % s_d != 0 || h >= out_d)
                continue;
            for (int p = 0; p < kernel_h; p++)
                for (int q = 0; q < kernel_w; q++) {
                    const int from_top = row + top - p * d_h, from_left = column + left - q * d_w;
                    const int i = from_top / s_h, j = from_left / s_w;
                    if (from_top >= 0 && from_left >= 0 && from_top % s_h == 0 && from_left % s_w == 0
                        && i < out_h && j < out_w)
                        sum += dy[(((n * K + k) * out_d + h) * out_h + i) * out_w + j]
                            * w[(((k * inputs + c % inputs) * kernel_d + o) * kernel_h + p) * kernel_w + q];
                }
        }
    dx[(n * C + c) * D * H * W + pixel] = sum;
}

// Dimension 0: (c, o, p, q) of w; 1: k.
__kernel void backward_w(__global const float *x, __global const float *dy, __global float *dw, GEOMETRY)
{
    const int inputs = C / groups, taps = kernel_d * kernel_h * kernel_w;
    const int tap = get_global_id(0), k = get_global_id(1);
    if (tap >= inputs * taps || k >= K)
        return;
    const int q = tap % kernel_w, p = tap / kernel_w % kernel_h, o = tap / (kernel_w * kernel_h) % kernel_d;
    const int c = tap / taps, first_c = k / (K / groups) * inputs;
    float sum = 0.0f;
    for (int n = 0; n < N; n++)
        for (int h = 0; h < out_d; h++) {
            const int slice = h * s_d + o * d_d - front;
            if (slice < 0 || slice >= D)
                continue;
            // A sum for each slice keeps the rounding errors small.
            float slice_sum = 0.0f;
            for (int i = 0; i < out_h; i++)
                for (int j = 0; j < out_w; j++) {
                    const int row = i * s_h + p * d_h - top, column = j * s_w + q * d_w - left;
                    if (row >= 0 && row < H && column >= 0 && column < W)
                        slice_sum += x[(((n * C + first_c + c) * D + slice) * H + row) * W + column]
                            * dy[(((n * K + k) * out_d + h) * out_h + i) * out_w + j];
                }
            sum += slice_sum;
        }
    dw[k * inputs * taps + tap] = sum;
}
