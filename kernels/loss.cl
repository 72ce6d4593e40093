/* Losses of numbers, element by element, and what g makes of the gradients of output x and target t; see
   refcnn/reference/loss.py. delta is the attribute of smoothed_l1. Build options:
   CHUNK          the elements that a work-item does
   LOSS           the function of the loss
   OF_X, OF_T     the functions of the gradients */

inline float mean_squared_error(float x, float t, float delta)
{
    const float difference = x - t;
    return difference * difference;
}

inline float mean_squared_error_of_x(float g, float x, float t, float delta)
{
    return 2.0f * g * (x - t);
}

inline float mean_squared_error_of_t(float g, float x, float t, float delta)
{
    return 2.0f * g * (t - x);
}

inline float smoothed_l1(float x, float t, float delta)
{
    const float distance = fabs(x - t);
    const float near = distance > delta ? delta : distance;
    return near * (distance - 0.5f * near);
}

inline float smoothed_l1_of_x(float g, float x, float t, float delta)
{
    const float difference = x - t;
    return g * (difference > delta ? delta : difference < -delta ? -delta : difference);
}

inline float smoothed_l1_of_t(float g, float x, float t, float delta)
{
    return smoothed_l1_of_x(g, t, x, delta);
}

/* A weight times a value; a weight of 0 takes no part, even of a value that is not finite. */
inline float weighted(float weight, float value)
{
    return weight == 0.0f ? 0.0f : weight * value;
}

inline float sigmoid_cross_entropy(float x, float t, float delta)
{
    const float rest = log1p(exp(-fabs(x)));
    return weighted(t, fmax(-x, 0.0f) + rest) + weighted(1.0f - t, fmax(x, 0.0f) + rest);
}

inline float sigmoid_cross_entropy_of_x(float g, float x, float t, float delta)
{
    const float e = exp(-fabs(x));
    const float p = (x >= 0.0f ? 1.0f : e) / (1.0f + e), other = (x >= 0.0f ? e : 1.0f) / (1.0f + e);
    return g * ((1.0f - t) * p - t * other);
}

inline float sigmoid_cross_entropy_of_t(float g, float x, float t, float delta)
{
    return isinf(x) && t == (x > 0.0f ? 1.0f : 0.0f) ? 0.0f : -g * x;
}

/* Does something with each element i of this work-item. */
#define EACH(DO)                                                                          \
    const int begin = get_global_id(0) * CHUNK, end = begin + min(CHUNK, count - begin); \
    for (int i = begin; i < end; i++)                                                     \
        DO

__kernel void loss_forward(__global const float *x, __global const float *t, __global float *restrict loss, int count,
                           float delta)
{
    EACH(loss[i] = LOSS(x[i], t[i], delta);)
}

__kernel void loss_mean(__global const float *restrict sum, __global float *restrict mean, float divisor)
{
    mean[0] = sum[0] / divisor;
}

/* What reaches a term: its own dy, or with a divisor its share of the only one. */
#define SHARE (divisor == 0.0f ? dy[i] : dy[0] / divisor)

__kernel void loss_backward_x(__global const float *dy, __global const float *x, __global const float *t,
                              __global float *restrict dx, int count, float delta, float divisor)
{
    EACH(dx[i] = OF_X(SHARE, x[i], t[i], delta);)
}

__kernel void loss_backward_t(__global const float *dy, __global const float *x, __global const float *t,
                              __global float *restrict dt, int count, float delta, float divisor)
{
    EACH(dt[i] = OF_T(SHARE, x[i], t[i], delta);)
}
