/* Keeps x / (1 - ratio) or gives zero; see refcnn/reference/dropout.py and refcnn/philox.py.
   Forward and backward are the same: backward draws the mask again instead of keeping it. */

/* One of the ten rounds of Philox 4x32. In scalars and with a 64-bit product in place of mul_hi, CPU compilers run it
   for many work-items at once; with a uint4 and mul_hi they do not, which took ten times as long. */
#define ROUND                                                                      \
    {                                                                              \
        const ulong product0 = (ulong)0xD2511F53u * c0, product1 = (ulong)0xCD9E8D57u * c2; \
        c0 = (uint)(product1 >> 32) ^ c1 ^ k0;                                     \
        c1 = (uint)product1;                                                       \
        c2 = (uint)(product0 >> 32) ^ c3 ^ k1;                                     \
        c3 = (uint)product0;                                                       \
        k0 += 0x9E3779B9u;                                                         \
        k1 += 0xBB67AE85u;                                                         \
    }

/* One work-item for each block of four values, which is one block of the random stream. */
__kernel void dropout_apply(__global const float *x, __global float *y, int count, uint threshold, float factor,
                            uint seed_low, uint seed_high, uint stream_low, uint stream_high)
{
    const int block = get_global_id(0);
    if (block > (count - 1) / 4)
        return;
    uint c0 = block, c1 = 0, c2 = stream_low, c3 = stream_high, k0 = seed_low, k1 = seed_high;
    ROUND ROUND ROUND ROUND ROUND ROUND ROUND ROUND ROUND ROUND
    const int i = 4 * block;
    y[i] = c0 >= threshold ? x[i] * factor : 0.0f;
    if (i + 1 < count)
        y[i + 1] = c1 >= threshold ? x[i + 1] * factor : 0.0f;
    if (i + 2 < count)
        y[i + 2] = c2 >= threshold ? x[i + 2] * factor : 0.0f;
    if (i + 3 < count)
        y[i + 3] = c3 >= threshold ? x[i + 3] * factor : 0.0f;
}
