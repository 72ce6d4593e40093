// The sum of each row of a window, and of these.
/* refcnn
operation = "average_pool2d"
where = "x.ndim == 4"

[[forward]]
kernel = "pool"
global = ["round_up(y.shape[3], 16)", "round_up(y.shape[2], 4)", "y.shape[0] * y.shape[1]"]
local = [16, 4, 1]
[forward.arguments]
x = "x"
y = "y"
height = "x.shape[2]"
width = "x.shape[3]"
kernel_height = "kernel[0]"
kernel_width = "kernel[1]"
out_height = "y.shape[2]"
out_width = "y.shape[3]"
stride_y = "stride[0]"
stride_x = "stride[1]"
top = "padding[0]"
left = "padding[1]"
dilation_y = "dilation[0] if dilation is not None else 1"
dilation_x = "dilation[1] if dilation is not None else 1"
bottom = "padding[2]"
right = "padding[3]"
counts_padding = "count_include_padding"
*/
__kernel void pool(__global const float *x, __global float *y, int height, int width, int kernel_height,
                   int kernel_width, int out_height, int out_width, int stride_y, int stride_x, int top, int left,
                   int dilation_y, int dilation_x, int bottom, int right, int counts_padding)
{
    int j = get_global_id(0), i = get_global_id(1), plane = get_global_id(2), count = 0;
    if (i >= out_height || j >= out_width)
        return;
    float sum = 0;
    for (int p = 0; p < kernel_height; p++) {
        float of_row = 0;
        for (int q = 0; q < kernel_width; q++) {
            int row = i * stride_y + p * dilation_y - top, column = j * stride_x + q * dilation_x - left;
            bool inside = row >= 0 && row < height && column >= 0 && column < width;
            count += inside || (counts_padding && row < height + bottom && column < width + right);
            if (inside)
                of_row += x[(plane * height + row) * width + column];
        }
        sum += of_row;
    }
    y[(plane * out_height + i) * out_width + j] = sum / count;
}
