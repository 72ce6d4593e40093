/* Keeps x / (1 - ratio) of a channel of an image, or gives zero for all of it; see refcnn/reference/spatial_dropout.py
   and refcnn/philox.py. A work-item does CHUNK pixels of one channel of one image. */

#include "philox.cl"

#define PART                                                                       \
    const int map = get_global_id(0) / parts, part = get_global_id(0) % parts;     \
    if (map >= maps)                                                               \
        return;                                                                    \
    const int count = min(CHUNK, pixels - part * CHUNK);                           \
    const size_t start = (size_t)map * pixels + part * CHUNK;

/* Each channel of each image has a word of the random stream, and four of them are a block. */
__kernel void spatial_dropout_forward(__global const float *restrict x, __global float *restrict y,
                                      __global uchar *restrict kept, int maps, int pixels, int parts, uint threshold,
                                      float factor, uint seed_low, uint seed_high, uint stream_low, uint stream_high,
                                      uint first_low, uint first_high, int skipped)
{
    PART
    const int place = skipped + map;
    const ulong block = ((ulong)first_high << 32 | first_low) + place / 4;
    uint c0 = (uint)block, c1 = (uint)(block >> 32), c2 = stream_low, c3 = stream_high, k0 = seed_low, k1 = seed_high;
    ROUND ROUND ROUND ROUND ROUND ROUND ROUND ROUND ROUND ROUND
    const uint word = place % 4 == 0 ? c0 : place % 4 == 1 ? c1 : place % 4 == 2 ? c2 : c3;
    const int is_kept = word >= threshold;
    for (int i = 0; i < count; i++)
        y[start + i] = is_kept ? x[start + i] * factor : 0.0f;
    if (part == 0)
        kept[map] = is_kept;
}

__kernel void spatial_dropout_backward(__global const float *restrict dy, __global const uchar *restrict kept,
                                       __global float *restrict dx, int maps, int pixels, int parts, float factor)
{
    PART
    const int is_kept = kept[map];
    for (int i = 0; i < count; i++)
        dx[start + i] = is_kept ? dy[start + i] * factor : 0.0f;
}
