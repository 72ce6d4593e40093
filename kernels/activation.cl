/* Functions of one number, and their slopes dy/dx; see refcnn/reference/activation.py. tanh is OpenCL's own. */

inline float sigmoid(float x)
{
    const float e = exp(-fabs(x));
    return (x >= 0.0f ? 1.0f : e) / (1.0f + e);
}

inline float sigmoid_slope(float x, float y)
{
    return y * (1.0f - y);
}

inline float tanh_slope(float x, float y)
{
    return 1.0f - y * y;
}

inline float softplus(float x)
{
    return fmax(x, 0.0f) + log1p(exp(-fabs(x)));
}

inline float softplus_slope(float x, float y)
{
    return sigmoid(x);
}

inline float leaky_relu(float x, float alpha)
{
    return x > 0.0f ? x : alpha * x;
}

inline float leaky_relu_slope(float x, float y, float alpha)
{
    return x > 0.0f ? 1.0f : alpha;
}

inline float absolute(float x)
{
    return fabs(x);
}

inline float absolute_slope(float x, float y)
{
    /* Not sign, which gives 0 where x is NaN. */
    return x > 0.0f ? 1.0f : x < 0.0f ? -1.0f : x;
}

inline float negative(float x)
{
    return -x;
}

inline float negative_slope(float x, float y)
{
    return -1.0f;
}
