/* Arithmetic of whole numbers; see refcnn/reference/elementary.py and refcnn/reference/arithmetic.py. TYPE is int or
   long, and UNSIGNED the same without a sign, in which what is too large begins again at the least number, as in NumPy. */

#define WITHOUT_SIGN(type) u##type
#define UNSIGNED_OF(type) WITHOUT_SIGN(type)
#define UNSIGNED UNSIGNED_OF(TYPE)

inline TYPE negative(TYPE x)
{
    return (TYPE)(0 - (UNSIGNED)x);
}

inline TYPE absolute(TYPE x)
{
    return x < 0 ? negative(x) : x;
}

inline TYPE sign_of(TYPE x)
{
    return (x > 0) - (x < 0);
}

inline TYPE add(TYPE a, TYPE b)
{
    return (TYPE)((UNSIGNED)a + (UNSIGNED)b);
}

inline TYPE subtract(TYPE a, TYPE b)
{
    return (TYPE)((UNSIGNED)a - (UNSIGNED)b);
}

inline TYPE multiply(TYPE a, TYPE b)
{
    return (TYPE)((UNSIGNED)a * (UNSIGNED)b);
}

inline TYPE divide(TYPE a, TYPE b)
{
    /* Processors stop at a division by 0, and at that of the least number by -1. */
    const TYPE quotient = a / (b == 0 || b == -1 ? 1 : b);
    return b == 0 ? 0 : b == -1 ? negative(a) : quotient;
}

inline TYPE maximum(TYPE a, TYPE b)
{
    return a > b ? a : b;
}

inline TYPE minimum(TYPE a, TYPE b)
{
    return a < b ? a : b;
}

inline TYPE power(TYPE a, TYPE b)
{
    if (b < 0)
        return a == 1 ? 1 : a != -1 ? 0 : b & 1 ? -1 : 1;
    UNSIGNED result = 1, square = (UNSIGNED)a;
    for (; b > 0; b >>= 1) {
        if (b & 1)
            result *= square;
        square *= square;
    }
    return (TYPE)result;
}
