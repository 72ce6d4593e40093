// A rectifier of vectors of sixteen.
/* refcnn
operation = "relu"

[[forward]]
kernel = "rectify"
arguments = { x = "x", y = "y", size = "x.size" }
global = ["ceil_div(x.size, 16)"]
local = [1]
*/
__kernel void rectify(__global const float *x, __global float *y, int size)
{
    int first = get_global_id(0) * 16;
    if (first + 16 <= size) {
        float16 value = vload16(0, x + first);
        vstore16(select(value, (float16)(0), value <= 0), 0, y + first);
    }
    else
        for (int i = first; i < size; i++)
            y[i] = x[i] <= 0 ? 0 : x[i];
}
