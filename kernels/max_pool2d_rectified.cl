// The gradient of max pooling over 2x2 windows side by side, of a rectified image that was never stored: one work-item,
// alone in its work-group, does one channel of one image. Names as in refcnn/reference/max_pool2d.py.

typedef float4 unaligned_float4 __attribute__((aligned(4)));
typedef float8 unaligned_float8 __attribute__((aligned(4)));
typedef uchar4 unaligned_uchar4 __attribute__((aligned(1)));

inline float8 interleaved(float4 even, float4 odd)
{
    return (float8)(even.s0, odd.s0, even.s1, odd.s1, even.s2, odd.s2, even.s3, odd.s3);
}

// dx[2i + p, 2j + q] = dy[i, j] where winner[i, j] = 2p + q, else 0; no window won is told by another number.
__kernel void max_pool2d_backward_rectified(
    __global const float *restrict dy, __global const uchar *restrict winner, __global float *restrict dx,
    int maps, int height, int width, int out_h, int out_w)
{
    const int map = get_group_id(0);
    if (map >= maps)
        return;
    dx += (size_t)map * height * width;
    dy += (size_t)map * out_h * out_w;
    winner += (size_t)map * out_h * out_w;
    for (int i = 0; i < out_h; i++, dy += out_w, winner += out_w)
        for (int p = 0; p < 2; p++, dx += width) {
            int j = 0;
            for (; j + 4 <= out_w; j += 4) {
                const float4 gradient = *(__global const unaligned_float4 *)(dy + j);
                const int4 place = convert_int4(*(__global const unaligned_uchar4 *)(winner + j));
                *(__global unaligned_float8 *)(dx + 2 * j) = interleaved(
                    place == 2 * p ? gradient : (float4)(0.0f), place == 2 * p + 1 ? gradient : (float4)(0.0f));
            }
            for (; j < out_w; j++)
                for (int q = 0; q < 2; q++)
                    dx[2 * j + q] = winner[j] == 2 * p + q ? dy[j] : 0.0f;
            if (width > 2 * out_w)
                dx[2 * out_w] = 0.0f;
        }
    if (height > 2 * out_h)
        for (int column = 0; column < width; column++)
            dx[column] = 0.0f;
}
