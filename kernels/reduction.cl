/* Reductions along the middle one of three axes, of the sizes outer, extent and inner; see
   refcnn/reference/reduction.py. A work-item takes a piece of the middle axis, of which there are pieces. */

__kernel void sum(__global const float *restrict x, __global float *restrict y, int outer, int extent, int inner,
                  int piece, int pieces)
{
    const int place = get_global_id(0);
    if (place >= outer * pieces * inner)
        return;
    const int i = place % inner, begin = place / inner % pieces * piece, end = min(begin + piece, extent);
    x += (size_t)(place / inner / pieces) * extent * inner + i;
    float total = 0.0f;
    for (int r = begin; r < end; r++)
        total += x[(size_t)r * inner];
    y[place] = total;
}

/* The largest, NaN if one is NaN, and the first place where it is in the array that was there at first. With is_first
   that is x itself, else x_winner has the places of what is in x. */
__kernel void largest(__global const float *restrict x, __global const int *restrict x_winner,
                      __global float *restrict y, __global int *restrict y_winner, int outer, int extent, int inner,
                      int piece, int pieces, int is_first)
{
    const int place = get_global_id(0);
    if (place >= outer * pieces * inner)
        return;
    const int i = place % inner, begin = place / inner % pieces * piece, end = min(begin + piece, extent);
    const int first = place / inner / pieces * extent * inner + i;
    float best = -INFINITY;
    int winner = -1;
    for (int r = begin; r < end; r++) {
        const int at = first + r * inner;
        const float value = x[at];
        /* Of equal ones the first is met first: later passes go along axes further to the front. */
        if (winner < 0 || value > best || (isnan(value) && !isnan(best))) {
            best = value;
            winner = is_first ? at : x_winner[at];
        }
    }
    y[place] = best;
    y_winner[place] = winner;
}

/* y = x for each element of the middle axis. */
__kernel void repeat(__global const float *restrict x, __global float *restrict y, int outer, int extent, int inner)
{
    const int place = get_global_id(0);
    if (place < outer * extent * inner)
        y[place] = x[place / inner / extent * inner + place % inner];
}

__kernel void divide_by(__global const float *restrict x, __global float *restrict y, int count, float divisor)
{
    const int place = get_global_id(0);
    if (place < count)
        y[place] = x[place] / divisor;
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
