// Convolution, plainly: one work-item for each element of the result. Names as in refcnn/reference/conv2d.py.

// Pixels of an image that are summed one after the other, at most.
#define TERMS 1024

#define GEOMETRY                                                                                    \
    int N, int C, int H, int W, int K, int kernel_h, int kernel_w, int out_h, int out_w, int groups, \
    int top, int left, int s_h, int s_w, int d_h, int d_w

// Dimension 0: pixels of y; 1: (n, k).
__kernel void forward(
    __global const float *x, __global const float *w, __global const float *b, int has_bias, __global float *y,
    GEOMETRY)
{
    const int pixel = get_global_id(0);
    const int n = get_global_id(1) / K, k = get_global_id(1) % K;
    if (pixel >= out_h * out_w || n >= N)
        return;
    const int i = pixel / out_w, j = pixel % out_w;
    const int inputs = C / groups;
    const int first_c = k / (K / groups) * inputs;
    float sum = has_bias ? b[k] : 0.0f;
    for (int c = 0; c < inputs; c++)
        for (int p = 0; p < kernel_h; p++)
            for (int q = 0; q < kernel_w; q++) {
                const int row = i * s_h + p * d_h - top, column = j * s_w + q * d_w - left;
                if (row >= 0 && row < H && column >= 0 && column < W)
                    sum += x[((n * C + first_c + c) * H + row) * W + column]
                        * w[((k * inputs + c) * kernel_h + p) * kernel_w + q];
            }
    y[(n * K + k) * out_h * out_w + pixel] = sum;
}

// Dimension 0: pixels of x; 1: (n, c).
__kernel void backward_x(__global const float *dy, __global const float *w, __global float *dx, GEOMETRY)
{
    const int pixel = get_global_id(0);
    const int n = get_global_id(1) / C, c = get_global_id(1) % C;
    if (pixel >= H * W || n >= N)
        return;
    const int row = pixel / W, column = pixel % W;
    const int inputs = C / groups, outputs = K / groups;
    const int first_k = c / inputs * outputs;
    float sum = 0.0f;
    for (int k = first_k; k < first_k + outputs; k++)
        for (int p = 0; p < kernel_h; p++)
            for (int q = 0; q < kernel_w; q++) {
                // The window whose tap (p, q) lies on this pixel, if there is one.
                const int from_top = row + top - p * d_h, from_left = column + left - q * d_w;
                const int i = from_top / s_h, j = from_left / s_w;
                if (from_top >= 0 && from_left >= 0 && from_top % s_h == 0 && from_left % s_w == 0
                    && i < out_h && j < out_w)
                    sum += dy[((n * K + k) * out_h + i) * out_w + j]
                        * w[((k * inputs + c % inputs) * kernel_h + p) * kernel_w + q];
            }
    dx[(n * C + c) * H * W + pixel] = sum;
}

// Dimension 0: (c, p, q) of w; 1: k.
__kernel void backward_w(__global const float *x, __global const float *dy, __global float *dw, GEOMETRY)
{
    const int inputs = C / groups;
    const int tap = get_global_id(0), k = get_global_id(1);
    if (tap >= inputs * kernel_h * kernel_w || k >= K)
        return;
    const int q = tap % kernel_w, p = tap / kernel_w % kernel_h, c = tap / (kernel_w * kernel_h);
    const int first_c = k / (K / groups) * inputs;
    float sum = 0.0f;
    for (int n = 0; n < N; n++) {
        // A sum for each image keeps the rounding errors small.
        float image_sum = 0.0f;
        for (int i = 0; i < out_h; i++)
            for (int j = 0; j < out_w; j++) {
                const int row = i * s_h + p * d_h - top, column = j * s_w + q * d_w - left;
                if (row >= 0 && row < H && column >= 0 && column < W)
                    image_sum += x[((n * C + first_c + c) * H + row) * W + column]
                        * dy[((n * K + k) * out_h + i) * out_w + j];
            }
        sum += image_sum;
    }
    dw[k * inputs * kernel_h * kernel_w + tap] = sum;
}

// Dimension 0: k.
__kernel void backward_b(__global const float *dy, __global float *db, GEOMETRY)
{
    const int k = get_global_id(0);
    if (k >= K)
        return;
    float sum = 0.0f;
    for (int n = 0; n < N; n++) {
        // Of large images one for each part.
        for (int begin = 0; begin < out_h * out_w; begin += TERMS) {
            float part = 0.0f;
            for (int pixel = begin; pixel < min(begin + TERMS, out_h * out_w); pixel++)
                part += dy[(n * K + k) * out_h * out_w + pixel];
            sum += part;
        }
    }
    db[k] = sum;
}
