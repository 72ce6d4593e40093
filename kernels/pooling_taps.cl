// Whole numbers beside each other, and how many taps of windows count; for the poolings for CPU cores.

#if WIDTH == 16
typedef int16 whole;
#define LANES (int16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
#elif WIDTH == 8
typedef int8 whole;
#define LANES (int8)(0, 1, 2, 3, 4, 5, 6, 7)
#else
typedef int4 whole;
#define LANES (int4)(0, 1, 2, 3)
#endif

// Taps from a first one on, spread apart, that lie from begin to end.
inline int taps_within(int first, int taps, int spread, int begin, int end)
{
    int count = 0;
    for (int tap = 0; tap < taps; tap++)
        count += first + tap * spread >= begin && first + tap * spread < end;
    return count;
}

// The same of a window that begins at each of so many columns.
inline vector taps_within_columns(whole columns, int taps, int spread, int begin, int end)
{
    vector count = 0.0f;
    for (int tap = 0; tap < taps; tap++) {
        const whole column = columns + tap * spread;
        count += column >= begin && column < end ? (vector)(1.0f) : (vector)(0.0f);
    }
    return count;
}
