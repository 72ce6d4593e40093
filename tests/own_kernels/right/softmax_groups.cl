// A work-group for each row, whose parts are added as a tree.
/* refcnn
operation = "softmax"

[[forward]]
kernel = "softmax"
arguments = { x = "x", y = "y", length = "x.shape[axis]", inner = "product(x.shape[axis + 1:])" }
global = ["32 * (x.size // x.shape[axis])"]
local = [32]
*/
__kernel void softmax(__global const float *x, __global float *y, int length, int inner)
{
    __local float shared[32];
    int l = get_local_id(0), row = get_group_id(0), start = row / inner * length * inner + row % inner;
    float largest = -INFINITY, sum = 0;
    for (int i = l; i < length; i += 32) {
        float value = x[start + i * inner];
        largest = value > largest || isnan(value) ? value : largest;
    }
    shared[l] = largest;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int apart = 16; apart > 0; apart /= 2) {
        if (l < apart && (shared[l + apart] > shared[l] || isnan(shared[l + apart])))
            shared[l] = shared[l + apart];
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    largest = shared[0];
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int i = l; i < length; i += 32)
        sum += exp(x[start + i * inner] - largest);
    shared[l] = sum;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int apart = 16; apart > 0; apart /= 2) {
        if (l < apart)
            shared[l] += shared[l + apart];
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    for (int i = l; i < length; i += 32)
        y[start + i * inner] = exp(x[start + i * inner] - largest) / shared[0];
}
