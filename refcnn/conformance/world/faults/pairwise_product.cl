// Eight sums of every eighth product, added pairwise.
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
    float sums[8] = {0, 0, 0, 0, 0, 0, 0, 0};
    for (int term = 0; term < terms; term++)
        sums[term % 8] += x[row * terms + term] * w[term * columns + column];
    for (int apart = 4; apart > 0; apart /= 2)
        for (int i = 0; i < apart; i++)
            sums[i] += sums[i + apart];
    y[row * columns + column] = sums[0] + (b ? b[column] : 0);
}
