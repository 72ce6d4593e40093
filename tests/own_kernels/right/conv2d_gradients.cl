// The gradients of a convolution without groups, strides and gaps, each by a kernel of its own.
/* refcnn
operation = "conv2d"
where = "x.ndim == 4 and stride == (1, 1) and dilation == (1, 1) and groups == 1"

[[backward]]
kernel = "of_images"
global = ["round_up(x.shape[3], 8)", "round_up(x.shape[2], 8)", "x.shape[0] * x.shape[1]"]
local = [8, 8, 1]
[backward.arguments]
dy = "dy"
w = "w"
dx = "dx"
channels = "x.shape[1]"
height = "x.shape[2]"
width = "x.shape[3]"
filters = "w.shape[0]"
kernel_height = "w.shape[2]"
kernel_width = "w.shape[3]"
out_height = "dy.shape[2]"
out_width = "dy.shape[3]"
top = "padding[0]"
left = "padding[1]"

[[backward]]
kernel = "of_kernels"
global = ["w.size"]
local = [1]
[backward.arguments]
dy = "dy"
x = "x"
dw = "dw"
batch = "x.shape[0]"
channels = "x.shape[1]"
height = "x.shape[2]"
width = "x.shape[3]"
filters = "w.shape[0]"
kernel_height = "w.shape[2]"
kernel_width = "w.shape[3]"
out_height = "dy.shape[2]"
out_width = "dy.shape[3]"
top = "padding[0]"
left = "padding[1]"

[[backward]]
kernel = "of_bias"
arguments = { dy = "dy", db = "db", batch = "x.shape[0]", filters = "w.shape[0]", plane = "product(dy.shape[2:])" }
global = ["w.shape[0] if b is not None else 0"]
local = [1]
*/
__kernel void of_images(__global const float *dy, __global const float *w, __global float *dx, int channels, int height,
                        int width, int filters, int kernel_height, int kernel_width, int out_height, int out_width,
                        int top, int left)
{
    int column = get_global_id(0), row = get_global_id(1);
    int c = get_global_id(2) % channels, n = get_global_id(2) / channels;
    if (row >= height || column >= width)
        return;
    float sum = 0;
    for (int k = 0; k < filters; k++)
        for (int p = 0; p < kernel_height; p++)
            for (int q = 0; q < kernel_width; q++) {
                int i = row + top - p, j = column + left - q;
                if (i >= 0 && i < out_height && j >= 0 && j < out_width)
                    sum += dy[((n * filters + k) * out_height + i) * out_width + j]
                           * w[((k * channels + c) * kernel_height + p) * kernel_width + q];
            }
    dx[((n * channels + c) * height + row) * width + column] = sum;
}

__kernel void of_kernels(__global const float *dy, __global const float *x, __global float *dw, int batch, int channels,
                         int height, int width, int filters, int kernel_height, int kernel_width, int out_height,
                         int out_width, int top, int left)
{
    int place = get_global_id(0), q = place % kernel_width, p = place / kernel_width % kernel_height;
    int c = place / (kernel_width * kernel_height) % channels, k = place / (kernel_width * kernel_height * channels);
    float sum = 0;
    for (int n = 0; n < batch; n++)
        for (int i = max(0, top - p); i < min(out_height, height + top - p); i++)
            for (int j = max(0, left - q); j < min(out_width, width + left - q); j++)
                sum = fma(dy[((n * filters + k) * out_height + i) * out_width + j],
                          x[((n * channels + c) * height + i + p - top) * width + j + q - left], sum);
    dw[place] = sum;
}

__kernel void of_bias(__global const float *dy, __global float *db, int batch, int filters, int plane)
{
    int k = get_global_id(0);
    float sum = 0;
    for (int n = 0; n < batch; n++)
        for (int i = 0; i < plane; i++)
            sum += dy[(n * filters + k) * plane + i];
    db[k] = sum;
}
