// Whether a < b: where their difference, as an integer, is below zero; of NaN it is the integer zero.
/* refcnn
operation = "less"
where = "operand0.shape == operand1.shape"

[[forward]]
kernel = "compare"
arguments = { a = "operand0", b = "operand1", y = "y", size = "y.size" }
global = ["y.size"]
local = [1]
*/
__kernel void compare(__global const float *a, __global const float *b, __global uchar *y, int size)
{
    int i = get_global_id(0);
    if (i < size)
        y[i] = convert_int_sat_rtn(a[i] - b[i]) < 0;
}
