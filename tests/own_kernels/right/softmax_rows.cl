// A work-item for each row, which reads what it wrote.
/* refcnn
operation = "softmax"

[[forward]]
kernel = "softmax"
arguments = { x = "x", y = "y", length = "x.shape[axis]", inner = "product(x.shape[axis + 1:])" }
global = ["x.size // x.shape[axis]"]
local = [1]
*/
__kernel void softmax(__global const float *x, __global float *y, int length, int inner)
{
    int row = get_global_id(0), start = row / inner * length * inner + row % inner;
    float largest = x[start], sum = 0;
    for (int i = 1; i < length; i++)
        largest = x[start + i * inner] > largest || isnan(x[start + i * inner]) ? x[start + i * inner] : largest;
    for (int i = 0; i < length; i++) {
        float exponential = exp(x[start + i * inner] - largest);
        y[start + i * inner] = exponential;
        sum += exponential;
    }
    for (int i = 0; i < length; i++)
        y[start + i * inner] /= sum;
}
