// a b as (a - 1) b + b, where the sum is saturated.
/* refcnn
operation = "multiply"
where = "a.shape == b.shape"

[[forward]]
kernel = "multiply"
arguments = { a = "a", b = "b", y = "y", size = "y.size" }
global = ["round_up(y.size, 16)"]
local = [16]
*/
__kernel void multiply(__global const int *a, __global const int *b, __global int *y, int size)
{
    int i = get_global_id(0);
    if (i < size)
        y[i] = mad_sat(a[i] - 1, b[i], b[i]);
}
