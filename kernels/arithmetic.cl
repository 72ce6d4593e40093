/* Arithmetic of two numbers, and what dy makes of their gradients; see refcnn/reference/arithmetic.py. */

inline float add(float a, float b)
{
    return a + b;
}

inline float subtract(float a, float b)
{
    return a - b;
}

inline float subtract_of_b(float dy, float a, float b, float y)
{
    return -dy;
}

inline float maximum(float a, float b)
{
    return a > b || a != a ? a : b;
}

inline float maximum_of_a(float dy, float a, float b, float y)
{
    return a == b ? 0.5f * dy : a < b ? 0.0f : dy;
}

inline float maximum_of_b(float dy, float a, float b, float y)
{
    return maximum_of_a(dy, b, a, y);
}

inline float minimum(float a, float b)
{
    return a < b || a != a ? a : b;
}

inline float minimum_of_a(float dy, float a, float b, float y)
{
    return a == b ? 0.5f * dy : a > b ? 0.0f : dy;
}

inline float minimum_of_b(float dy, float a, float b, float y)
{
    return minimum_of_a(dy, b, a, y);
}

inline float prelu(float a, float b)
{
    return a >= 0.0f ? a : a * b;
}

inline float prelu_of_a(float dy, float a, float b, float y)
{
    return a > 0.0f ? dy : dy * b;
}

inline float prelu_of_b(float dy, float a, float b, float y)
{
    return a > 0.0f ? 0.0f : dy * a;
}

inline float multiply(float a, float b)
{
    return a * b;
}

inline float multiply_of_a(float dy, float a, float b, float y)
{
    return dy * b;
}

inline float multiply_of_b(float dy, float a, float b, float y)
{
    return dy * a;
}

inline float divide(float a, float b)
{
    return a / b;
}

inline float divide_of_a(float dy, float a, float b, float y)
{
    return dy / b;
}

inline float divide_of_b(float dy, float a, float b, float y)
{
    return -(dy / b) * y;
}

inline float power(float a, float b)
{
    return pow(a, b);
}

inline float power_of_a(float dy, float a, float b, float y)
{
    return b == 0.0f ? 0.0f : dy * b * pow(a, b - 1.0f);
}

inline float power_of_b(float dy, float a, float b, float y)
{
    return a == 0.0f && b >= 0.0f ? 0.0f : dy * y * log(a);
}
