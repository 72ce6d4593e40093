/* Keeps x / (1 - ratio) or gives zero; see refcnn/reference/dropout.py and refcnn/philox.py.
   Forward and backward are the same: backward draws the mask again instead of keeping it. */

uint4 philox4x32(uint4 counter, uint2 key)
{
    for (int round = 0; round < 10; round++) {
        uint high0 = mul_hi(0xD2511F53u, counter.x), low0 = 0xD2511F53u * counter.x;
        uint high1 = mul_hi(0xCD9E8D57u, counter.z), low1 = 0xCD9E8D57u * counter.z;
        counter = (uint4)(high1 ^ counter.y ^ key.x, low1, high0 ^ counter.w ^ key.y, low0);
        key += (uint2)(0x9E3779B9u, 0xBB67AE85u);
    }
    return counter;
}

/* One work-item for each block of four values, which is one block of the random stream. */
__kernel void dropout_apply(__global const float *x, __global float *y, int count, uint threshold, float factor,
                            uint seed_low, uint seed_high, uint stream_low, uint stream_high)
{
    int block = get_global_id(0);
    if (block >= (count - 1) / 4 + 1)
        return;
    uint4 bits = philox4x32((uint4)(block, 0, stream_low, stream_high), (uint2)(seed_low, seed_high));
    uint lanes[4] = {bits.x, bits.y, bits.z, bits.w};
    for (int lane = 0; lane < 4 && 4 * block + lane < count; lane++) {
        int i = 4 * block + lane;
        y[i] = lanes[lane] >= threshold ? x[i] * factor : 0.0f;
    }
}
