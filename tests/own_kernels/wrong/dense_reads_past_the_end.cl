// One product more than there are is read, though it is not added.
/* refcnn
operation = "dense"

[[forward]]
kernel = "product"
arguments = { x = "x", w = "w", b = "b", y = "y", rows = "x.shape[0]", terms = "x.shape[1]", columns = "w.shape[1]" }
global = ["round_up(y.shape[1], 8)", "round_up(y.shape[0], 8)"]
local = [8, 8]
*/
__kernel void product(__global const float *x, __global const float *w, __global const float *b, __global float *y,
                      int rows, int terms, int columns)
{
    int row = get_global_id(1), column = get_global_id(0);
    if (row >= rows || column >= columns)
        return;
    float sum = 0, pixel = x[row * terms], weight = w[column];
    for (int term = 0; term < terms; term++) {
        sum += pixel * weight;
        pixel = x[row * terms + term + 1];
        weight = w[(term + 1) * columns + column];
    }
    y[row * columns + column] = sum + (b ? b[column] : 0);
}
