/* Sums along one axis of terms that tables name; see refcnn/opencl/shared/along.py.
   Build options: CHUNK, the results that a work-item does; WEIGHTED where the terms have weights; TERMS where each
   result has so many, by which compilers make vectors of results. */

#ifdef WEIGHTED
#define TERM(j, value) (weights[j] * (value))
#else
#define TERM(j, value) (value)
#endif
#ifdef TERMS
#define FIRST(k) ((k) * TERMS)
#define BEHIND(k) ((k) * TERMS + TERMS)
#else
#define FIRST(k) offsets[k]
#define BEHIND(k) offsets[(k) + 1]
#endif

/* y[outer, k, i] = the sum over j from offsets[k] to offsets[k + 1] of weights[j] x[outer, places[j], i]: so many
   results along the axis, y_size, from so many elements, x_size, and so many numbers behind each, inner. */
__kernel void sum_along(__global const float *restrict x, __global float *restrict y, int count,
                        __global const int *restrict places, __global const int *restrict offsets,
                        __global const float *restrict weights, int x_size, int y_size, int inner)
{
    const int begin = get_global_id(0) * CHUNK, end = begin + min(CHUNK, count - begin);
    if (inner == 1) {
        for (int i = begin; i < end;) {
            const int outer = i / y_size, first = outer * y_size, last = min(first + y_size, end);
            __global const float *of_outer = x + outer * x_size;
            for (int k = i - first; i < last; i++, k++) {
                float sum = 0.0f;
                for (int j = FIRST(k); j < BEHIND(k); j++)
                    sum += TERM(j, of_outer[places[j]]);
                y[i] = sum;
            }
        }
        return;
    }
    for (int i = begin; i < end;) {
        const int row = i / inner, k = row % y_size, column = i % inner, columns = min(inner - column, end - i);
        __global const float *of_outer = x + row / y_size * x_size * inner + column;
        for (int c = 0; c < columns; c++)
            y[i + c] = 0.0f;
        // A term after the other, so that what lies behind each other is added as vectors.
        for (int j = FIRST(k); j < BEHIND(k); j++) {
            __global const float *of_place = of_outer + places[j] * inner;
            for (int c = 0; c < columns; c++)
                y[i + c] += TERM(j, of_place[c]);
        }
        i += columns;
    }
}
