/* Elementary functions of one number, and their slopes dy/dx; see refcnn/reference/elementary.py. ceil, erf, exp, floor,
   log, rint and sqrt are OpenCL's own. FLOAT is one float, or a vector of them: comparisons of those choose in ? : too. */

inline FLOAT absolute(FLOAT x)
{
    return fabs(x);
}

inline FLOAT absolute_slope(FLOAT x, FLOAT y)
{
    /* Not sign, which gives 0 where x is NaN. */
    return x > 0.0f ? 1.0f : x < 0.0f ? -1.0f : x;
}

inline FLOAT constant_slope(FLOAT x, FLOAT y)
{
    return 0.0f;
}

inline FLOAT erf_slope(FLOAT x, FLOAT y)
{
    /* e^-1600 is 0 in any float, and the square of x might overflow. */
    const FLOAT bounded = fmin(fabs(x), 40.0f);
    return isnan(x) ? x : 1.1283791671f * exp(-bounded * bounded);
}

inline FLOAT exp_slope(FLOAT x, FLOAT y)
{
    return y;
}

inline FLOAT log_slope(FLOAT x, FLOAT y)
{
    return 1.0f / x;
}

inline FLOAT negative(FLOAT x)
{
    return -x;
}

inline FLOAT negative_slope(FLOAT x, FLOAT y)
{
    return -1.0f;
}

inline FLOAT reciprocal(FLOAT x)
{
    return 1.0f / x;
}

inline FLOAT reciprocal_slope(FLOAT x, FLOAT y)
{
    return -y * y;
}

inline FLOAT sign_of(FLOAT x)
{
    return x > 0.0f ? 1.0f : x < 0.0f ? -1.0f : x;
}

inline FLOAT sqrt_slope(FLOAT x, FLOAT y)
{
    return 0.5f / y;
}
