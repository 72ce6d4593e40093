// A rectifier of vectors of four, each of which is made of two of two.
/* refcnn
operation = "relu"

[[forward]]
kernel = "rectify"
arguments = { x = "x", y = "y", size = "x.size" }
global = ["ceil_div(x.size, 4)"]
local = [1]
*/
__kernel void rectify(__global const float *x, __global float *y, int size)
{
    int first = get_global_id(0) * 4;
    if (first + 4 <= size) {
        float2 low = vload2(0, x + first), high = vload2(1, x + first);
        float4 value = (float4)(low, high);
        vstore4(select(value, (float4)(0), value <= 0), 0, y + first);
    }
    else
        for (int i = first; i < size; i++)
            y[i] = x[i] <= 0 ? 0 : x[i];
}
