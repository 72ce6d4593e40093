/* Keeps x / (1 - ratio) or gives zero; see refcnn/reference/dropout.py and refcnn/philox.py.
   Build option: CHUNK, what a work-item does: blocks of four values forward, values backward. */

#include "philox.cl"

/* Four values next to each other are one block of the random stream; of the first one some words may be skipped. */
__kernel void dropout_forward(__global const float *restrict x, __global float *restrict y,
                              __global uchar *restrict kept, int count, uint threshold, float factor,
                              uint seed_low, uint seed_high, uint stream_low, uint stream_high,
                              uint first_low, uint first_high, int skipped)
{
    const int start = get_global_id(0) * CHUNK;
    const ulong first = ((ulong)first_high << 32 | first_low) + start;
    uint words[4 * CHUNK];
    for (int block = 0; block < CHUNK; block++) {
        uint c0 = (uint)(first + block), c1 = (uint)((first + block) >> 32), c2 = stream_low, c3 = stream_high, k0 = seed_low, k1 = seed_high;
        ROUND ROUND ROUND ROUND ROUND ROUND ROUND ROUND ROUND ROUND
        words[4 * block] = c0;
        words[4 * block + 1] = c1;
        words[4 * block + 2] = c2;
        words[4 * block + 3] = c3;
    }
    const int begin = 4 * start - skipped, end = min(4 * CHUNK, count - begin);
    for (int i = max(0, -begin); i < end; i++) {
        const int is_kept = words[i] >= threshold;
        y[begin + i] = is_kept ? x[begin + i] * factor : 0.0f;
        kept[begin + i] = is_kept;
    }
}

__kernel void dropout_backward(__global const float *restrict dy, __global const uchar *restrict kept,
                               __global float *restrict dx, int count, float factor)
{
    const int begin = get_global_id(0) * CHUNK, end = begin + min(CHUNK, count - begin);
    for (int i = begin; i < end; i++)
        dx[i] = kept[i] ? dy[i] * factor : 0.0f;
}
