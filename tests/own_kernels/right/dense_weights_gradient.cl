// One gradient of three, the others of which are not asked for.
/* refcnn
operation = "dense"

[[backward]]
kernel = "of_weights"
arguments = { x = "x", dy = "dy", dw = "dw", rows = "x.shape[0]", terms = "x.shape[1]", columns = "w.shape[1]" }
global = ["round_up(w.shape[1], 8)", "round_up(w.shape[0], 8)"]
local = [8, 8]
*/
__kernel void of_weights(__global const float *x, __global const float *dy, __global float *dw, int rows, int terms,
                         int columns)
{
    int column = get_global_id(0), term = get_global_id(1);
    if (term >= terms || column >= columns)
        return;
    float sum = 0;
    for (int row = 0; row < rows; row++)
        sum += x[row * terms + term] * dy[row * columns + column];
    dw[term * columns + column] = sum;
}
