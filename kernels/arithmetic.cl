/* Arithmetic of two numbers, and what dy makes of their gradients; see refcnn/reference/arithmetic.py. */

inline FLOAT add(FLOAT a, FLOAT b)
{
    return a + b;
}

/* a + b, and 0 in the place of what is not above 0; NaN is kept. */
inline FLOAT add_rectified(FLOAT a, FLOAT b)
{
    const FLOAT sum = a + b;
    return sum <= 0.0f ? (FLOAT)(0.0f) : sum;
}

inline FLOAT subtract(FLOAT a, FLOAT b)
{
    return a - b;
}

inline FLOAT subtract_of_b(FLOAT dy, FLOAT a, FLOAT b, FLOAT y)
{
    return -dy;
}

inline FLOAT maximum(FLOAT a, FLOAT b)
{
    return a > b || a != a ? a : b;
}

inline FLOAT maximum_of_a(FLOAT dy, FLOAT a, FLOAT b, FLOAT y)
{
    return dy * (a < b ? 0.0f : a == b ? 0.5f : 1.0f);
}

inline FLOAT maximum_of_b(FLOAT dy, FLOAT a, FLOAT b, FLOAT y)
{
    return maximum_of_a(dy, b, a, y);
}

inline FLOAT minimum(FLOAT a, FLOAT b)
{
    return a < b || a != a ? a : b;
}

inline FLOAT minimum_of_a(FLOAT dy, FLOAT a, FLOAT b, FLOAT y)
{
    return dy * (a > b ? 0.0f : a == b ? 0.5f : 1.0f);
}

inline FLOAT minimum_of_b(FLOAT dy, FLOAT a, FLOAT b, FLOAT y)
{
    return minimum_of_a(dy, b, a, y);
}

inline FLOAT prelu(FLOAT a, FLOAT b)
{
    return a >= 0.0f ? a : a * b;
}

inline FLOAT prelu_of_a(FLOAT dy, FLOAT a, FLOAT b, FLOAT y)
{
    return a > 0.0f ? dy : dy * b;
}

inline FLOAT prelu_of_b(FLOAT dy, FLOAT a, FLOAT b, FLOAT y)
{
    return a > 0.0f ? 0.0f : dy * a;
}

inline FLOAT multiply(FLOAT a, FLOAT b)
{
    return a * b;
}

inline FLOAT multiply_of_a(FLOAT dy, FLOAT a, FLOAT b, FLOAT y)
{
    return dy * b;
}

inline FLOAT multiply_of_b(FLOAT dy, FLOAT a, FLOAT b, FLOAT y)
{
    return dy * a;
}

inline FLOAT divide(FLOAT a, FLOAT b)
{
    return a / b;
}

inline FLOAT divide_of_a(FLOAT dy, FLOAT a, FLOAT b, FLOAT y)
{
    return dy / b;
}

inline FLOAT divide_of_b(FLOAT dy, FLOAT a, FLOAT b, FLOAT y)
{
    return -(dy / b) * y;
}

inline FLOAT power(FLOAT a, FLOAT b)
{
    return POWER(a, b);
}

inline FLOAT power_of_a(FLOAT dy, FLOAT a, FLOAT b, FLOAT y)
{
    return b == 0.0f ? 0.0f : dy * b * POWER(a, b - 1.0f);
}

inline FLOAT power_of_b(FLOAT dy, FLOAT a, FLOAT b, FLOAT y)
{
    return a == 0.0f && b >= 0.0f ? 0.0f : dy * y * log(a);
}
