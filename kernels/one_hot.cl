/* One row of numbers for each index, all of them off but the one there; see refcnn/reference/one_hot.py.
   Build options: CHUNK, the elements that a work-item does; INDEX, the type of the indices; WORD, an unsigned integer
   as large as an element of y. */

/* y[outer, place, inner] for the indices (outer, inner). */
__kernel void one_hot_forward(__global const INDEX *restrict indices, __global WORD *restrict y, int count, int depth,
                              int inner, WORD off, WORD on)
{
    const int begin = get_global_id(0) * CHUNK, end = begin + min(CHUNK, count - begin);
    for (int i = begin; i < end; i++) {
        const int row = i / inner, place = row % depth;
        const INDEX index = indices[row / depth * inner + i % inner];
        y[i] = index == place || index == place - depth ? on : off;
    }
}
