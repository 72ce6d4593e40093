// a b as (a - 1) b + b, where the sum is saturated.
/* refcnn
operation = "multiply"
where = "a.shape == b.shape"

[[forward]]
kernel = "multiply"
arguments = { a = "a", b = "b", y = "y", size = "y.size" }
global = ["y.size"]
local = [1]
*/
__kernel void multiply(__global const long *a, __global const long *b, __global long *y, int size)
{
    int i = get_global_id(0);
    if (i < size)
        y[i] = mad_sat(a[i] - 1, b[i], b[i]);
}
