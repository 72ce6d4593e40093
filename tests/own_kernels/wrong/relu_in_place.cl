// What it is given to read is rectified as well.
/* refcnn
operation = "relu"

[[forward]]
kernel = "rectify"
arguments = { x = "x", y = "y", size = "x.size" }
global = ["round_up(x.size, 64)"]
local = [64]
*/
__kernel void rectify(__global float *x, __global float *y, int size)
{
    int i = get_global_id(0);
    if (i < size)
        y[i] = x[i] = x[i] <= 0 ? 0 : x[i];
}
