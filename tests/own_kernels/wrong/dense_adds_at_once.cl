// The products of a row are added by whoever comes first: the last of those who read the same sum wins.
/* refcnn
operation = "dense"
where = "b is None"

[[forward]]
kernel = "clear"
arguments = { y = "y", size = "y.size" }
global = ["round_up(y.size, 64)"]
local = [64]

[[forward]]
kernel = "add_product"
arguments = { x = "x", w = "w", y = "y", terms = "x.shape[1]", columns = "w.shape[1]" }
global = ["x.shape[1]", "w.shape[1]", "x.shape[0]"]
local = [1, 1, 1]
*/
__kernel void clear(__global float *y, int size)
{
    if (get_global_id(0) < size)
        y[get_global_id(0)] = 0;
}

__kernel void add_product(__global const float *x, __global const float *w, __global float *y, int terms, int columns)
{
    int term = get_global_id(0), column = get_global_id(1), row = get_global_id(2);
    y[row * columns + column] += x[row * terms + term] * w[term * columns + column];
}
