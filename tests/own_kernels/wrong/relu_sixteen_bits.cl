// A place of sixteen bits, which begins anew behind 65,535.
/* refcnn
operation = "relu"

[[forward]]
kernel = "rectify"
arguments = { x = "x", y = "y", size = "x.size" }
global = ["round_up(x.size, 64)"]
local = [64]
*/
__kernel void rectify(__global const float *x, __global float *y, int size)
{
    ushort i = get_global_id(0);
    if (i < size)
        y[i] = x[i] <= 0 ? 0 : x[i];
}
