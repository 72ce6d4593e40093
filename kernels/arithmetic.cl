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
