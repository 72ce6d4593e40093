/* Elementary functions of one number, and their slopes dy/dx; see refcnn/reference/elementary.py. ceil, erf, exp, floor,
   log, rint and sqrt are OpenCL's own. */

inline float absolute(float x)
{
    return fabs(x);
}

inline float absolute_slope(float x, float y)
{
    /* Not sign, which gives 0 where x is NaN. */
    return x > 0.0f ? 1.0f : x < 0.0f ? -1.0f : x;
}

inline float constant_slope(float x, float y)
{
    return 0.0f;
}

inline float erf_slope(float x, float y)
{
    /* e^-1600 is 0 in any float, and the square of x might overflow. */
    const float bounded = fmin(fabs(x), 40.0f);
    return isnan(x) ? x : 1.1283791671f * exp(-bounded * bounded);
}

inline float exp_slope(float x, float y)
{
    return y;
}

inline float log_slope(float x, float y)
{
    return 1.0f / x;
}

inline float negative(float x)
{
    return -x;
}

inline float negative_slope(float x, float y)
{
    return -1.0f;
}

inline float reciprocal(float x)
{
    return 1.0f / x;
}

inline float reciprocal_slope(float x, float y)
{
    return -y * y;
}

inline float sign_of(float x)
{
    return x > 0.0f ? 1.0f : x < 0.0f ? -1.0f : x;
}

inline float sqrt_slope(float x, float y)
{
    return 0.5f / y;
}
