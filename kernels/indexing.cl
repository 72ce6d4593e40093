/* Elements of x along one axis, at indices of which negative ones count from the end; see refcnn/reference/gather.py
   and refcnn/reference/gather_elements.py. Arrays are of (outer, extent, inner) elements, and of so many indices along
   the axis, picked, in the place of extent.
   Build options: CHUNK, the elements, or backward the columns, that a work-item does; INDEX, the type of the indices;
   WORD, an unsigned integer as large as an element of x; PER_ELEMENT where each element of y has an index of its own,
   and not each of its places along the axis. */

#ifdef PER_ELEMENT
#define INDEX_AT(row, k, column) indices[(row) * inner + (column)]
#else
#define INDEX_AT(row, k, column) indices[k]
#endif

/* What is outside, which nobody should ask for, is wrapped: nothing else is read or written for it. */
inline int place_of(INDEX index, int size)
{
    const int place = (int)(index % size);
    return place < 0 ? place + size : place;
}

/* y[outer, k, column] = x[outer, index, column] */
__kernel void taken(__global const WORD *restrict x, __global const INDEX *restrict indices,
                             __global WORD *restrict y, int count, int extent, int picked, int inner)
{
    const int begin = get_global_id(0) * CHUNK, end = begin + min(CHUNK, count - begin);
    for (int i = begin; i < end;) {
        const int row = i / inner, k = row % picked, first = i % inner, last = min(inner, first + end - i);
        __global const WORD *of_outer = x + row / picked * extent * inner;
        for (int column = first; column < last; column++, i++)
            y[i] = of_outer[place_of(INDEX_AT(row, k, column), extent) * inner + column];
    }
}

/* dx[outer, index, column] = the sum of dy[outer, k, column] over the k with that index, in their order. A work-item
   has all of some columns of dx to itself. */
__kernel void summed(__global const float *restrict dy, __global const INDEX *restrict indices,
                              __global float *restrict dx, int count, int extent, int picked, int inner)
{
    const int chunks = (inner + CHUNK - 1) / CHUNK, item = get_global_id(0), outer = item / chunks;
    if (item >= count)
        return;
    const int first = item % chunks * CHUNK, last = first + min(CHUNK, inner - first);
    __global float *of_outer = dx + outer * extent * inner;
    for (int place = 0; place < extent; place++)
        for (int column = first; column < last; column++)
            of_outer[place * inner + column] = 0.0f;
    for (int k = 0; k < picked; k++) {
        const int row = outer * picked + k;
        for (int column = first; column < last; column++)
            of_outer[place_of(INDEX_AT(row, k, column), extent) * inner + column] += dy[row * inner + column];
    }
}
