/* Each value divided by what its neighbours along the channels amount to; see
   refcnn/reference/local_response_normalization.py. A work-item does CHUNK pixels of one channel of one image. */

#define PART                                                                                        \
    const int part = get_global_id(0) % parts, map = get_global_id(0) / parts, c = map % channels; \
    if (map >= maps)                                                                                \
        return;                                                                                     \
    const int count = min(CHUNK, pixels - part * CHUNK);                                            \
    const size_t start = (size_t)map * pixels + part * CHUNK;                                       \
    float sums[CHUNK];                                                                              \
    for (int i = 0; i < count; i++)                                                                 \
        sums[i] = 0.0f;

/* power = s^-beta */
__kernel void local_response_forward(__global const float *restrict x, __global float *restrict y,
                                     __global float *restrict s, __global float *restrict power, int maps,
                                     int channels, int pixels, int parts, int before, int after, float share,
                                     float beta, float bias)
{
    PART
    for (int d = max(-before, -c); d <= min(after, channels - 1 - c); d++) {
        __global const float *neighbours = x + (start + (long)d * pixels);
        for (int i = 0; i < count; i++)
            sums[i] += neighbours[i] * neighbours[i];
    }
    for (int i = 0; i < count; i++) {
        s[start + i] = bias + share * sums[i];
        power[start + i] = pow(s[start + i], -beta);
        y[start + i] = x[start + i] * power[start + i];
    }
}

/* ratio = dy y / s */
__kernel void local_response_ratio(__global const float *restrict dy, __global const float *restrict y,
                                   __global const float *restrict s, __global float *restrict ratio, int count)
{
    const int begin = get_global_id(0) * CHUNK, end = begin + min(CHUNK, count - begin);
    for (int i = begin; i < end; i++)
        ratio[i] = dy[i] * y[i] / s[i];
}

__kernel void local_response_backward(__global const float *restrict dy, __global const float *restrict x,
                                      __global const float *restrict power, __global const float *restrict ratio,
                                      __global float *restrict dx, int maps, int channels, int pixels, int parts,
                                      int before, int after, float slope)
{
    PART
    for (int d = max(-after, -c); d <= min(before, channels - 1 - c); d++) {
        __global const float *neighbours = ratio + (start + (long)d * pixels);
        for (int i = 0; i < count; i++)
            sums[i] += neighbours[i];
    }
    for (int i = 0; i < count; i++)
        dx[start + i] = dy[start + i] * power[start + i] - slope * x[start + i] * sums[i];
}
