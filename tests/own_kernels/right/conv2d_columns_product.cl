// The windows as columns of a matrix, then a product of matrices: two kernels.
/* refcnn
operation = "conv2d"
where = "x.ndim == 4 and groups == 1"
scratch = { columns = "x.shape[0] * product(w.shape[1:]) * product(y.shape[2:])" }

[[forward]]
kernel = "lay_out"
global = ["round_up(product(y.shape[2:]), 32)", "product(w.shape[1:])", "x.shape[0]"]
local = [32, 1, 1]
[forward.arguments]
x = "x"
columns = "columns"
channels = "x.shape[1]"
height = "x.shape[2]"
width = "x.shape[3]"
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

[[forward]]
kernel = "product"
arguments = { w = "w", columns = "columns", b = "b", y = "y", rows = "w.shape[0]", terms = "product(w.shape[1:])", pixels = "product(y.shape[2:])" }
global = ["round_up(product(y.shape[2:]), 32)", "w.shape[0]", "x.shape[0]"]
local = [32, 1, 1]
*/
__kernel void lay_out(__global const float *x, __global float *columns, int channels, int height, int width,
                      int kernel_height, int kernel_width, int out_height, int out_width, int stride_y, int stride_x,
                      int top, int left, int dilation_y, int dilation_x)
{
    int pixel = get_global_id(0), term = get_global_id(1), n = get_global_id(2), pixels = out_height * out_width;
    if (pixel >= pixels)
        return;
    int q = term % kernel_width, p = term / kernel_width % kernel_height, c = term / (kernel_width * kernel_height);
    int row = pixel / out_width * stride_y + p * dilation_y - top;
    int column = pixel % out_width * stride_x + q * dilation_x - left;
    bool inside = row >= 0 && row < height && column >= 0 && column < width;
    columns[(n * get_global_size(1) + term) * pixels + pixel] =
        inside ? x[((n * channels + c) * height + row) * width + column] : 0;
}

__kernel void product(__global const float *w, __global const float *columns, __global const float *b,
                      __global float *y, int rows, int terms, int pixels)
{
    int pixel = get_global_id(0), k = get_global_id(1), n = get_global_id(2);
    if (pixel >= pixels)
        return;
    float sum = 0;
    for (int term = 0; term < terms; term++)
        sum += w[k * terms + term] * columns[(n * terms + term) * pixels + pixel];
    y[(n * rows + k) * pixels + pixel] = sum + (b ? b[k] : 0);
}
