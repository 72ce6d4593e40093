/* Activations, functions of one number, and their slopes dy/dx; see refcnn/reference/activation.py. tanh is OpenCL's
   own. */

inline float celu(float x, float alpha)
{
    return x > 0.0f ? x : alpha * expm1(x / alpha);
}

inline float celu_slope(float x, float y, float alpha)
{
    return x > 0.0f ? 1.0f : exp(x / alpha);
}

inline float clip(float x, float least, float most)
{
    const float raised = x < least ? least : x;
    return raised > most ? most : raised;
}

inline float clip_slope(float x, float y, float least, float most)
{
    return x >= least && x <= most ? 1.0f : 0.0f;
}

inline float elu(float x, float alpha)
{
    return x > 0.0f ? x : alpha * expm1(x);
}

inline float elu_slope(float x, float y, float alpha)
{
    return x > 0.0f ? 1.0f : alpha * exp(x);
}

inline float sigmoid(float x)
{
    const float e = exp(-fabs(x));
    return (x >= 0.0f ? 1.0f : e) / (1.0f + e);
}

inline float sigmoid_slope(float x, float y)
{
    return y * (1.0f - y);
}

/* From where on e^(-x^2 / 2) is 0 in any float; powers of what is farther out could overflow. */
#define SATURATED 40.0f

inline float gelu(float x)
{
    return 0.5f * x * erfc(-0.7071067812f * x);
}

inline float gelu_slope(float x, float y)
{
    const float bounded = fmin(fabs(x), SATURATED), density = 0.3989422804f * exp(-0.5f * bounded * bounded);
    return 0.5f * erfc(-0.7071067812f * x) + x * density;
}

inline float doubled_argument(float x)
{
    const float bounded = x > SATURATED ? SATURATED : x < -SATURATED ? -SATURATED : x;
    return 1.5957691216f * (bounded + 0.044715f * bounded * bounded * bounded);
}

inline float gelu_tanh(float x)
{
    return x * sigmoid(doubled_argument(x));
}

inline float gelu_tanh_slope(float x, float y)
{
    const float v2 = doubled_argument(x), bounded = fmin(fabs(x), SATURATED);
    const float dv2 = 1.5957691216f * (1.0f + 0.134145f * bounded * bounded);
    return sigmoid(v2) + x * (sigmoid(v2) * sigmoid(-v2) * dv2);
}

inline float hard_sigmoid(float x, float alpha, float beta)
{
    const float y = alpha * x + beta;
    return y <= 0.0f ? 0.0f : y >= 1.0f ? 1.0f : y;
}

inline float hard_sigmoid_slope(float x, float y, float alpha, float beta)
{
    return y > 0.0f && y < 1.0f ? alpha : 0.0f;
}

inline float hard_swish(float x)
{
    return x * hard_sigmoid(x, 0.1666666667f, 0.5f);
}

inline float hard_swish_slope(float x, float y)
{
    return x >= 3.0f ? 1.0f : x <= -3.0f ? 0.0f : x / 3.0f + 0.5f;
}

inline float leaky_relu(float x, float alpha)
{
    return x > 0.0f ? x : alpha * x;
}

inline float leaky_relu_slope(float x, float y, float alpha)
{
    return x > 0.0f ? 1.0f : alpha;
}

inline float mish_divisor(float x, float e)
{
    return x >= 0.0f ? 1.0f + 2.0f * e + 2.0f * e * e : 2.0f + 2.0f * e + e * e;
}

inline float mish(float x)
{
    const float e = exp(-fabs(x));
    return x * ((x >= 0.0f ? 1.0f + 2.0f * e : e * (2.0f + e)) / mish_divisor(x, e));
}

inline float mish_slope(float x, float y)
{
    const float e = exp(-fabs(x)), divisor = mish_divisor(x, e);
    const float share = (x >= 0.0f ? 1.0f + 2.0f * e : e * (2.0f + e)) / divisor;
    return share + x * (4.0f * (1.0f + e) * (x >= 0.0f ? e * e : e) / (divisor * divisor));
}

inline float selu(float x, float alpha, float gamma)
{
    return gamma * elu(x, alpha);
}

inline float selu_slope(float x, float y, float alpha, float gamma)
{
    return gamma * elu_slope(x, y, alpha);
}

inline float softplus(float x)
{
    return fmax(x, 0.0f) + log1p(exp(-fabs(x)));
}

inline float softplus_slope(float x, float y)
{
    return sigmoid(x);
}

inline float softsign(float x)
{
    return x / (1.0f + fabs(x));
}

inline float softsign_slope(float x, float y)
{
    const float share = 1.0f / (1.0f + fabs(x));
    return share * share;
}

inline float swish(float x, float alpha)
{
    return x * sigmoid(alpha * x);
}

inline float swish_slope(float x, float y, float alpha)
{
    const float scaled = alpha * x;
    return sigmoid(scaled) + scaled * (sigmoid(scaled) * sigmoid(-scaled));
}

inline float tanh_slope(float x, float y)
{
    return 1.0f - y * y;
}
