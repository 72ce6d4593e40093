// A tile of the image in local memory, between barriers.
/* refcnn
operation = "conv2d"
where = "x.ndim == 4 and stride == (1, 1) and dilation == (1, 1) and groups == 1"

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
top = "padding[0]"
left = "padding[1]"
tile = "local(4 * (8 + w.shape[2] - 1) * (8 + w.shape[3] - 1))"
*/
__kernel void convolve(__global const float *x, __global const float *w, __global const float *b, __global float *y,
                       int channels, int height, int width, int filters, int of_group, int kernel_height,
                       int kernel_width, int out_height, int out_width, int top, int left, __local float *tile)
{
    int li = get_local_id(1), lj = get_local_id(0), i0 = get_group_id(1) * 8, j0 = get_group_id(0) * 8;
    int i = i0 + li, j = j0 + lj, k = get_global_id(2) % filters, n = get_global_id(2) / filters;
    int tile_height = 8 + kernel_height - 1, tile_width = 8 + kernel_width - 1;
    float sum = b ? b[k] : 0;
    for (int c = 0; c < of_group; c++) {
        for (int place = li * 8 + lj; place < tile_height * tile_width; place += 64) {
            int row = i0 + place / tile_width - top, column = j0 + place % tile_width - left;
            bool inside = row >= 0 && row < height && column >= 0 && column < width;
            tile[place] = inside ? x[((n * channels + c) * height + row) * width + column] : 0;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int p = 0; p < kernel_height; p++)
            for (int q = 0; q < kernel_width; q++)
                sum += tile[(li + p) * tile_width + lj + q]
                       * w[((k * of_group + c) * kernel_height + p) * kernel_width + q];
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    if (i < out_height && j < out_width)
        y[((n * filters + k) * out_height + i) * out_width + j] = sum;
}
