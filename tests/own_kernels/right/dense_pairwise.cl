// Eight sums of every eighth product as a vector, added pairwise.
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
    int row = get_global_id(1), column = get_global_id(0), term = 0;
    if (row >= rows || column >= columns)
        return;
    float8 sums = (float8)(0);
    for (; term + 8 <= terms; term += 8) {
        __global const float *of_w = w + term * columns + column;
        sums += vload8(0, x + row * terms + term)
                * (float8)(of_w[0], of_w[columns], of_w[2 * columns], of_w[3 * columns], of_w[4 * columns],
                           of_w[5 * columns], of_w[6 * columns], of_w[7 * columns]);
    }
    float rest = 0;
    for (; term < terms; term++)
        rest += x[row * terms + term] * w[term * columns + column];
    float4 four = sums.lo + sums.hi;
    float2 two = four.lo + four.hi;
    y[row * columns + column] = two.x + two.y + rest + (b ? b[column] : 0);
}
