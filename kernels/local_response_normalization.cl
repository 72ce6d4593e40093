/* Each value divided by what its neighbours along the channels amount to; see
   refcnn/reference/local_response_normalization.py. A work-item does CHUNK pixels of one channel of one image.
   Build options beside that: WIDTH, floats of a vector; THREE_QUARTERS, if beta is 0.75, as nearly always. */

#include "power.cl"
#include "vectors.cl"

/* Does something with each pixel i of this work-item, in vectors and then one by one. */
#define EACH(DO)                                                                                    \
    const int part = get_global_id(0) % parts, map = get_global_id(0) / parts, c = map % channels; \
    if (map >= maps)                                                                                \
        return;                                                                                     \
    const size_t start = (size_t)map * pixels, end = start + min((part + 1) * CHUNK, pixels);      \
    size_t i = start + part * CHUNK;                                                                \
    for (; i + WIDTH <= end; i += WIDTH)                                                            \
        DO(vector, VECTOR_OF, STORE)                                                                \
    for (; i < end; i++)                                                                            \
        DO(float, NUMBER_OF, SET)
#define SET(pointer, value) *(pointer) = value

/* s^-beta: roots are many times faster than pow. */
#ifdef THREE_QUARTERS
#define INVERSE_POWER(type, s) (1.0f / (sqrt(s) * sqrt(sqrt(s))))
#else
#define INVERSE_POWER(type, s) POWER(s, (type)(-beta))
#endif

#define FORWARD(type, OF, PUT)                                                     \
    {                                                                              \
        type sum = 0.0f;                                                           \
        for (int d = max(-before, -c); d <= min(after, channels - 1 - c); d++)     \
            sum += OF(x, i + (long)d * pixels) * OF(x, i + (long)d * pixels);      \
        const type divisor = bias + share * sum;                                   \
        const type factor = INVERSE_POWER(type, divisor);                          \
        PUT(s + i, divisor);                                                       \
        PUT(power + i, factor);                                                    \
        PUT(y + i, OF(x, i) * factor);                                             \
    }

/* power = s^-beta */
__kernel void local_response_forward(__global const float *restrict x, __global float *restrict y,
                                     __global float *restrict s, __global float *restrict power, int maps,
                                     int channels, int pixels, int parts, int before, int after, float share,
                                     float beta, float bias)
{
    EACH(FORWARD)
}

/* ratio = dy y / s */
__kernel void local_response_ratio(__global const float *restrict dy, __global const float *restrict y,
                                   __global const float *restrict s, __global float *restrict ratio, int count)
{
    const int begin = get_global_id(0) * CHUNK, end = begin + min(CHUNK, count - begin);
    for (int i = begin; i < end; i++)
        ratio[i] = dy[i] * y[i] / s[i];
}

#define BACKWARD(type, OF, PUT)                                                    \
    {                                                                              \
        type sum = 0.0f;                                                           \
        for (int d = max(-after, -c); d <= min(before, channels - 1 - c); d++)     \
            sum += OF(ratio, i + (long)d * pixels);                                \
        PUT(dx + i, OF(dy, i) * OF(power, i) - slope * OF(x, i) * sum);            \
    }

__kernel void local_response_backward(__global const float *restrict dy, __global const float *restrict x,
                                      __global const float *restrict power, __global const float *restrict ratio,
                                      __global float *restrict dx, int maps, int channels, int pixels, int parts,
                                      int before, int after, float slope)
{
    EACH(BACKWARD)
}
