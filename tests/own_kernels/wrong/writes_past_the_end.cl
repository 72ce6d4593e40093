// What lies behind the last row is written as well.
/* refcnn
operation = "conv2d"
where = "x.ndim == 4"

[[forward]]
kernel = "convolve"
global = ["round_up(y.shape[3], 8)", "round_up(y.shape[2], 8)", "y.shape[0] * y.shape[1]"]
local = [8, 8, 1]
[forward.arguments]
x = "x"
w = "w"
b = "b"
y = "y"
channels = "x.shape[1]"
height = "x.shape[2]"
width = "x.shape[3]"
filters = "w.shape[0]"
of_group = "w.shape[1]"
kernel_height = "w.shape[2]"
kernel_width = "w.shape[3]"
out_height = "y.shape[2]"
out_width = "y.shape[3]"
stride_y = "stride[0]"
stride_x = "stride[1]"
top = "padding[0]"
left = "padding[1]"
dilation_y = "dilation[0]"
dilation_x = "dilation[1]"
groups = "groups"
*/
__kernel void convolve(__global const float *x, __global const float *w, __global const float *b, __global float *y,
                       int channels, int height, int width, int filters, int of_group, int kernel_height,
                       int kernel_width, int out_height, int out_width, int stride_y, int stride_x, int top, int left,
                       int dilation_y, int dilation_x, int groups)
{
    int j = get_global_id(0), i = get_global_id(1), k = get_global_id(2) % filters, n = get_global_id(2) / filters;
    if (j >= out_width)
        return;
    int first = k / (filters / groups) * of_group;
    float sum = b ? b[k] : 0;
    for (int c = 0; c < of_group; c++)
        for (int p = 0; p < kernel_height; p++)
            for (int q = 0; q < kernel_width; q++) {
                int row = i * stride_y + p * dilation_y - top, column = j * stride_x + q * dilation_x - left;
                if (row >= 0 && row < height && column >= 0 && column < width)
                    sum += x[((n * channels + first + c) * height + row) * width + column]
                           * w[((k * of_group + c) * kernel_height + p) * kernel_width + q];
            }
    y[((n * filters + k) * out_height + i) * out_width + j] = sum;
}
