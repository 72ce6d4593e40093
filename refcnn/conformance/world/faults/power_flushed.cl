// Powers, where numbers below 2^-126 may be taken for zero.
/* refcnn
operation = "power"
where = "a.shape == b.shape"
options = "-cl-denorms-are-zero"

[[forward]]
kernel = "raise"
arguments = { a = "a", b = "b", y = "y", size = "y.size" }
global = ["y.size"]
local = [1]
*/
__kernel void raise(__global const float *a, __global const float *b, __global float *y, int size)
{
    int i = get_global_id(0);
    if (i < size)
        y[i] = pow(a[i], b[i]);
}
