// Tiles of both matrices in local memory.
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
    __local float of_x[8][8], of_w[8][8];
    int lr = get_local_id(1), lc = get_local_id(0), row = get_global_id(1), column = get_global_id(0);
    float sum = 0;
    for (int first = 0; first < terms; first += 8) {
        of_x[lr][lc] = row < rows && first + lc < terms ? x[row * terms + first + lc] : 0;
        of_w[lr][lc] = first + lr < terms && column < columns ? w[(first + lr) * columns + column] : 0;
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int term = 0; term < min(8, terms - first); term++)
            sum += of_x[lr][term] * of_w[term][lc];
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    if (row < rows && column < columns)
        y[row * columns + column] = sum + (b ? b[column] : 0);
}
