/* Comparisons of numbers of a TYPE, and logic of truth values; see refcnn/reference/logic.py. */

inline uchar equal(TYPE a, TYPE b)
{
    return a == b;
}

inline uchar not_equal(TYPE a, TYPE b)
{
    return a != b;
}

inline uchar greater(TYPE a, TYPE b)
{
    return a > b;
}

inline uchar greater_or_equal(TYPE a, TYPE b)
{
    return a >= b;
}

inline uchar less(TYPE a, TYPE b)
{
    return a < b;
}

inline uchar less_or_equal(TYPE a, TYPE b)
{
    return a <= b;
}

inline uchar logical_and(TYPE a, TYPE b)
{
    return a && b;
}

inline uchar logical_or(TYPE a, TYPE b)
{
    return a || b;
}

inline uchar logical_xor(TYPE a, TYPE b)
{
    return a != b;
}

inline uchar logical_not(TYPE x)
{
    return !x;
}
