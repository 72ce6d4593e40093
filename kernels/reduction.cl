/* Reductions; see refcnn/reference/reduction.py. An array is taken as three axes of the sizes outer, extent and inner,
   of which the middle one goes. Build options, of which each kernel reads what it needs:
   TYPE, SUM      the types of the elements of x, and of y
   COMBINE, START what two become, and what comes of none
   TERM, FINISH   what is combined of an element, and what the last of it becomes
   COLUMNS        the columns that a unit of work has at most
   OF_FLOATS      set where TYPE is float
   BETTER         of two elements whether the second takes the place of the first
   OF_X           what becomes of the gradient */

/* Sums are blocked: of at most this many terms, one after the other, and then of such sums. */
#define TERMS 256
#define ROWS 8

#ifdef SUM

/* Of numbers and of vectors; NaN is beyond all numbers. */
#define sum(a, b) ((a) + (b))
#define product(a, b) ((a) * (b))
#define largest(a, b) (((b) > (a)) | ((b) != (b)) ? (b) : (a))
#define smallest(a, b) (((b) < (a)) | ((b) != (b)) ? (b) : (a))

#define itself(x) (x)
#define square(x) ((x) * (x))
#ifdef OF_FLOATS
#define magnitude(x) fabs(x)
#else
#define magnitude(x) abs(x)
#endif

#define whole(total) (total)
#define mean(total) ((total) / divisor)
#define root(total) sqrt(total)
#define logarithm(total) log(total)

/* total[c] becomes what it is combined with the terms in column c of some rows, in their order. */
inline void combine_rows(SUM *total, __global const TYPE *restrict rows, int count, int row, int columns)
{
    for (; count >= 4; count -= 4, rows += 4 * (size_t)row) {
        __global const TYPE *first = rows, *second = first + row, *third = second + row, *fourth = third + row;
        for (int c = 0; c < columns; c++) {
            const SUM two = COMBINE(COMBINE(total[c], TERM(first[c])), TERM(second[c]));
            total[c] = COMBINE(COMBINE(two, TERM(third[c])), TERM(fourth[c]));
        }
    }
    for (; count > 0; count--, rows += row)
        for (int c = 0; c < columns; c++)
            total[c] = COMBINE(total[c], TERM(rows[c]));
}

/* y[outer, p, inner] = all of the p-th piece of the middle axis in one. A work-item does some units, each of which is a
   piece of a block of columns. */
__kernel void fold(__global const TYPE *restrict x, __global SUM *restrict y, int outer, int extent, int inner,
                   int pieces, int block, int blocks, int units, float divisor)
{
    const int begin = get_global_id(0) * units, end = begin + min(units, outer * pieces * blocks - begin);
    for (int unit = begin; unit < end; unit++) {
        const int column = unit % blocks * block, columns = min(block, inner - column);
        const int r = unit / blocks % pieces * TERMS, place = unit / blocks / pieces;
        __global const TYPE *first = x + ((size_t)place * extent + r) * inner + column;
        SUM total[COLUMNS];
        for (int c = 0; c < columns; c++)
            total[c] = START;
        combine_rows(total, first, min(TERMS, extent - r), inner, columns);
        for (int c = 0; c < columns; c++)
            y[(size_t)(unit / blocks) * inner + column + c] = FINISH(total[c]);
    }
}

/* The same where inner is 1 and extent short, for CPUs: a unit is ROWS rows, none of which waits for another. */
__kernel void fold_short(__global const TYPE *restrict x, __global SUM *restrict y, int outer, int extent, int units,
                         float divisor)
{
    const int begin = get_global_id(0) * units * ROWS, end = begin + min(units * ROWS, outer - begin);
    for (int place = begin; place < end; place += ROWS) {
        __global const TYPE *rows[ROWS];
        SUM total[ROWS];
        #pragma unroll
        for (int n = 0; n < ROWS; n++) {
            rows[n] = x + (size_t)min(place + n, end - 1) * extent;
            total[n] = START;
        }
        for (int r = 0; r < extent; r++)
            #pragma unroll
            for (int n = 0; n < ROWS; n++)
                total[n] = COMBINE(total[n], TERM(rows[n][r]));
        for (int n = 0; n < min(ROWS, end - place); n++)
            y[place + n] = FINISH(total[n]);
    }
}

/* The same where few columns lie side by side, for cores with vectors: so many rows, a power of two, as one. */
__kernel void fold_lanes(__global const TYPE *restrict x, __global SUM *restrict y, int outer, int extent, int inner,
                         int lanes, int pieces, int units, float divisor)
{
    const int begin = get_global_id(0) * units, end = begin + min(units, outer * pieces - begin), width = lanes * inner;
    for (int unit = begin; unit < end; unit++) {
        const int r = unit % pieces * TERMS * lanes, count = min(TERMS * lanes, extent - r) * inner;
        __global const TYPE *first = x + ((size_t)(unit / pieces) * extent + r) * inner;
        SUM total[COLUMNS];
        for (int c = 0; c < width; c++)
            total[c] = START;
        combine_rows(total, first, count / width, width, width);
        combine_rows(total, first + count / width * width, 1, width, count % width);
        for (int size = width / 2; size >= inner; size /= 2)
            for (int c = 0; c < size; c++)
                total[c] = COMBINE(total[c], total[size + c]);
        for (int c = 0; c < inner; c++)
            y[(size_t)unit * inner + c] = FINISH(total[c]);
    }
}

#endif

#ifdef BETTER

inline int is_larger(TYPE best, TYPE x) { return (x > best) | ((x != x) & (best == best)); }
inline int is_smaller(TYPE best, TYPE x) { return (x < best) | ((x != x) & (best == best)); }
inline int is_no_smaller(TYPE best, TYPE x) { return (x >= best) | (x != x); }
inline int is_no_larger(TYPE best, TYPE x) { return (x <= best) | (x != x); }

/* The best of a piece of the middle axis, and the place in the array that was there at first of the first one that
   none behind it is better than. With is_first that is x itself, else x_winner has the places of what is in x. */
__kernel void choose(__global const TYPE *restrict x, __global const int *restrict x_winner, __global TYPE *restrict y,
                     __global int *restrict y_winner, int outer, int extent, int inner, int pieces, int is_first)
{
    const int place = get_global_id(0);
    if (place >= outer * pieces * inner)
        return;
    const int i = place % inner, begin = place / inner % pieces * TERMS, end = min(begin + TERMS, extent);
    const int first = place / inner / pieces * extent * inner + i;
    TYPE best = 0;
    int winner = -1;
    for (int r = begin; r < end; r++) {
        const int at = first + r * inner;
        const TYPE value = x[at];
        /* Of equal ones the first is met first: later passes go along axes further to the front. */
        if (r == begin || BETTER(best, value)) {
            best = value;
            winner = is_first ? at : x_winner[at];
        }
    }
    y[place] = best;
    y_winner[place] = winner;
}

#endif

#if !defined(SUM) && !defined(BETTER) && !defined(OF_X)

/* Where along the middle axis the places of an array are. */
__kernel void place_along(__global const int *restrict winner, __global long *restrict y, int count, int extent,
                          int inner)
{
    const int place = get_global_id(0);
    if (place < count)
        y[place] = winner[place] / inner % extent;
}

__kernel void zeros(__global float *restrict y, int count)
{
    const int place = get_global_id(0);
    if (place < count)
        y[place] = 0.0f;
}

__kernel void to_winners(__global const float *restrict dy, __global const int *restrict winner,
                         __global float *restrict dx, int count)
{
    const int place = get_global_id(0);
    if (place < count)
        dx[winner[place]] = dy[place];
}

/* dx = dy times the product of the others in each row: of all before it, and of all behind it. */
__kernel void others_product(__global const float *restrict dy, __global const float *restrict x,
                             __global float *restrict dx, int rows, int columns)
{
    const int n = get_global_id(0);
    if (n >= rows)
        return;
    x += (size_t)n * columns;
    dx += (size_t)n * columns;
    float before = 1.0f, behind = 1.0f;
    for (int i = 0; i < columns; i++) {
        dx[i] = before;
        before *= x[i];
    }
    for (int i = columns - 1; i >= 0; i--) {
        dx[i] = dy[n] * (dx[i] * behind);
        behind *= x[i];
    }
}

#endif

#ifdef OF_X

#define DY dy[place + n * LAST_STRIDE]
#define X x[i + n]
#define Y y[place + n * LAST_STRIDE]

#define of_sum DY
#define of_mean DY / divisor
#define of_l1 DY * (isnan(X) ? X : sign(X))
#define of_l2 DY * (Y == 0.0f ? 0.0f : X / Y)
#define of_sum_square DY * (2.0f * X)
#define of_log_sum DY / Y
#define of_log_sum_exp DY * exp(X - Y)

/* No gradients, but the way to the logarithm of a sum of exponentials, with the largest as y. */
#define shifted_exp exp(X - (isfinite(Y) ? Y : 0.0f))
#define shifted_log (isfinite(Y) ? Y : 0.0f) + log(X)

/* dx for each element, of which dy and y are one for all along some axes. For each axis of dx there is a pair in axes:
   its size, and its stride in dy; along the last axis that is LAST_STRIDE. */
__kernel void spread(__global const float *restrict dy, __global const float *restrict x,
                     __global const float *restrict y, __global float *restrict dx, int count,
                     __global const int *restrict axes, int last_axis, float divisor)
{
    const int begin = get_global_id(0) * CHUNK, end = begin + min(CHUNK, count - begin);
    const int columns = axes[2 * last_axis];
    const int rows = last_axis > 0 ? axes[2 * last_axis - 2] : 1, distance = last_axis > 0 ? axes[2 * last_axis - 1] : 0;
    for (int i = begin; i < end;) {
        int column = i % columns, row = i / columns % rows, plane = i / columns / rows, of_row = row * distance;
        for (int axis = last_axis - 2; axis >= 0; axis--) {
            of_row += plane % axes[2 * axis] * axes[2 * axis + 1];
            plane /= axes[2 * axis];
        }
        // Row after row without a division.
        for (; row < rows && i < end; row++, of_row += distance, column = 0) {
            const int place = of_row + column * LAST_STRIDE, taken = min(columns - column, end - i);
            for (int n = 0; n < taken; n++)
                dx[i + n] = OF_X;
            i += taken;
        }
    }
}

#endif
