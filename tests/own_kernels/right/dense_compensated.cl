// A number of terms that the compiler knows, and a compensated sum.
/* refcnn
operation = "dense"
options = "-DTERMS={x.shape[1]}"
where = "x.shape[1] % 8 == 1"

[[forward]]
kernel = "product"
arguments = { x = "x", w = "w", b = "b", y = "y", rows = "x.shape[0]", columns = "w.shape[1]" }
global = ["round_up(y.shape[1], 8)", "round_up(y.shape[0], 8)"]
local = [8, 8]
*/
__kernel void product(__global const float *x, __global const float *w, __global const float *b, __global float *y,
                      int rows, int columns)
{
    int row = get_global_id(1), column = get_global_id(0);
    if (row >= rows || column >= columns)
        return;
    float sum = 0, lost = 0;
    for (int term = 0; term < TERMS; term++) {
        float product = x[row * TERMS + term] * w[term * columns + column] - lost, next = sum + product;
        lost = isfinite(next) ? next - sum - product : 0;
        sum = next;
    }
    y[row * columns + column] = sum + (b ? b[column] : 0);
}
