// A comparison that NaN wins.
/* refcnn
operation = "max_pool2d"
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
*/
__kernel void pool(__global const float *x, __global float *y, int height, int width, int kernel_height,
                   int kernel_width, int out_height, int out_width, int stride_y, int stride_x, int top, int left,
                   int dilation_y, int dilation_x)
{
    int j = get_global_id(0), i = get_global_id(1), plane = get_global_id(2);
    if (i >= out_height || j >= out_width)
        return;
    float largest = -INFINITY;
    for (int p = 0; p < kernel_height; p++)
        for (int q = 0; q < kernel_width; q++) {
            int row = i * stride_y + p * dilation_y - top, column = j * stride_x + q * dilation_x - left;
            if (row < 0 || row >= height || column < 0 || column >= width)
                continue;
            float pixel = x[(plane * height + row) * width + column];
            if (pixel > largest || isnan(pixel))
                largest = pixel;
        }
    y[(plane * out_height + i) * out_width + j] = largest;
}
