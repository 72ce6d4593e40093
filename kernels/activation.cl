/* Activations, functions of one number, and their slopes dy/dx; see refcnn/reference/activation.py. tanh is OpenCL's
   own. */

inline FLOAT celu(FLOAT x, float alpha)
{
    return x > 0.0f ? x : alpha * expm1(x / alpha);
}

inline FLOAT celu_slope(FLOAT x, FLOAT y, float alpha)
{
    return x > 0.0f ? 1.0f : exp(x / alpha);
}

inline FLOAT clip(FLOAT x, float least, float most)
{
    return LIMITED(FLOAT, x, least, most);
}

inline FLOAT clip_slope(FLOAT x, FLOAT y, float least, float most)
{
    return x >= least && x <= most ? 1.0f : 0.0f;
}

inline FLOAT elu(FLOAT x, float alpha)
{
    return x > 0.0f ? x : alpha * expm1(x);
}

inline FLOAT elu_slope(FLOAT x, FLOAT y, float alpha)
{
    return x > 0.0f ? 1.0f : alpha * exp(x);
}

inline FLOAT sigmoid(FLOAT x)
{
    const FLOAT e = exp(-fabs(x));
    return (x >= 0.0f ? 1.0f : e) / (1.0f + e);
}

inline FLOAT sigmoid_slope(FLOAT x, FLOAT y)
{
    return y * (1.0f - y);
}

/* From where on e^(-x^2 / 2) is 0 in any float; powers of what is farther out could overflow. */
#define SATURATED 40.0f

inline FLOAT gelu(FLOAT x)
{
    return 0.5f * x * erfc(-0.7071067812f * x);
}

inline FLOAT gelu_slope(FLOAT x, FLOAT y)
{
    const FLOAT bounded = fmin(fabs(x), SATURATED), density = 0.3989422804f * exp(-0.5f * bounded * bounded);
    return 0.5f * erfc(-0.7071067812f * x) + x * density;
}

inline FLOAT doubled_argument(FLOAT x)
{
    const FLOAT bounded = x > SATURATED ? SATURATED : x < -SATURATED ? -SATURATED : x;
    return 1.5957691216f * (bounded + 0.044715f * bounded * bounded * bounded);
}

inline FLOAT gelu_tanh(FLOAT x)
{
    return x * sigmoid(doubled_argument(x));
}

inline FLOAT gelu_tanh_slope(FLOAT x, FLOAT y)
{
    const FLOAT v2 = doubled_argument(x), bounded = fmin(fabs(x), SATURATED);
    const FLOAT dv2 = 1.5957691216f * (1.0f + 0.134145f * bounded * bounded);
    return sigmoid(v2) + x * (sigmoid(v2) * sigmoid(-v2) * dv2);
}

inline FLOAT hard_sigmoid(FLOAT x, float alpha, float beta)
{
    const FLOAT y = alpha * x + beta;
    return y <= 0.0f ? 0.0f : y >= 1.0f ? 1.0f : y;
}

inline FLOAT hard_sigmoid_slope(FLOAT x, FLOAT y, float alpha, float beta)
{
    return y > 0.0f && y < 1.0f ? alpha : 0.0f;
}

inline FLOAT hard_swish(FLOAT x)
{
    return x * hard_sigmoid(x, 0.1666666667f, 0.5f);
}

inline FLOAT hard_swish_slope(FLOAT x, FLOAT y)
{
    return x >= 3.0f ? 1.0f : x <= -3.0f ? 0.0f : x / 3.0f + 0.5f;
}

inline FLOAT leaky_relu(FLOAT x, float alpha)
{
    return x > 0.0f ? x : alpha * x;
}

inline FLOAT leaky_relu_slope(FLOAT x, FLOAT y, float alpha)
{
    return x > 0.0f ? 1.0f : alpha;
}

inline FLOAT mish_divisor(FLOAT x, FLOAT e)
{
    return x >= 0.0f ? 1.0f + 2.0f * e + 2.0f * e * e : 2.0f + 2.0f * e + e * e;
}

inline FLOAT mish(FLOAT x)
{
    const FLOAT e = exp(-fabs(x));
    return x * ((x >= 0.0f ? 1.0f + 2.0f * e : e * (2.0f + e)) / mish_divisor(x, e));
}

inline FLOAT mish_slope(FLOAT x, FLOAT y)
{
    const FLOAT e = exp(-fabs(x)), divisor = mish_divisor(x, e);
    const FLOAT share = (x >= 0.0f ? 1.0f + 2.0f * e : e * (2.0f + e)) / divisor;
    return share + x * (4.0f * (1.0f + e) * (x >= 0.0f ? e * e : e) / (divisor * divisor));
}

inline FLOAT selu(FLOAT x, float alpha, float gamma)
{
    return gamma * elu(x, alpha);
}

inline FLOAT selu_slope(FLOAT x, FLOAT y, float alpha, float gamma)
{
    return gamma * elu_slope(x, y, alpha);
}

inline FLOAT softplus(FLOAT x)
{
    return fmax(x, 0.0f) + log1p(exp(-fabs(x)));
}

inline FLOAT softplus_slope(FLOAT x, FLOAT y)
{
    return sigmoid(x);
}

inline FLOAT softsign(FLOAT x)
{
    return x / (1.0f + fabs(x));
}

inline FLOAT softsign_slope(FLOAT x, FLOAT y)
{
    const FLOAT share = 1.0f / (1.0f + fabs(x));
    return share * share;
}

inline FLOAT swish(FLOAT x, float alpha)
{
    return x * sigmoid(alpha * x);
}

inline FLOAT swish_slope(FLOAT x, FLOAT y, float alpha)
{
    const FLOAT scaled = alpha * x;
    return sigmoid(scaled) + scaled * (sigmoid(scaled) * sigmoid(-scaled));
}

inline FLOAT tanh_slope(FLOAT x, FLOAT y)
{
    return 1.0f - y * y;
}
