/* Numbers that go to another place: transposed arrays, parts of them, arrays that are joined or padded; see
   refcnn/reference/transpose.py, slice.py, concat.py and pad.py there. Build options: WORD, an unsigned integer as large
   as an element, so that every bit of it is kept whatever it is; CHUNK, the elements that a work-item does. */

/* So many words that lie behind each other, of which compilers make copies of vectors. */
#define COPY(to, from, words)            \
    for (int w = 0; w < (words); w++)    \
        (to)[w] = (from)[w];
#define FILL(to, words)                  \
    for (int w = 0; w < (words); w++)    \
        (to)[w] = around;

/* y[k_0, k_1, ...] = x[first + k_0 stride_0 + k_1 stride_1 + ...], counted in elements. For each axis of y there is a
   pair in axes: its size, its stride. */
__kernel void strided(__global const WORD *restrict x, __global WORD *restrict y, int count, int first,
                     __global const int *restrict axes, int last_axis)
{
    const int begin = get_global_id(0) * CHUNK, end = begin + min(CHUNK, count - begin);
    const int columns = axes[2 * last_axis], stride = axes[2 * last_axis + 1];
    for (int i = begin; i < end;) {
        int row = i / columns, place = first + i % columns * stride;
        for (int axis = last_axis - 1; axis >= 0; axis--) {
            place += row % axes[2 * axis] * axes[2 * axis + 1];
            row /= axes[2 * axis];
        }
        const int end_of_row = min(end, i + columns - i % columns);
        if (stride == 1) {
            COPY(y + i, x + place, end_of_row - i)
            i = end_of_row;
        }
        for (; i < end_of_row; i++, place += stride)
            y[i] = x[place];
    }
}

/* The same where the elements of x lie behind each other along another axis of y than the last, inner. It is done in
   blocks of so many indices of either, and these in strips of the last, so that what is read of x is in the cache until
   all of it is read; a work-item does several blocks, together. For each further axis there are three numbers in axes:
   its size, and the strides of x and of y. */
#define STRIP 16
#define EXCHANGE(rows)                                                 \
    for (int i = inner_begin; i < inner_end; i++)                      \
        for (int row = 0; row < (rows); row++)                         \
            to[i * inner_stride + row] = from[row * last_stride + i];

__kernel void exchange(__global const WORD *restrict x, __global WORD *restrict y, int count, int first, int inner,
                       int inner_stride, int last, int last_stride, __global const int *restrict axes, int further_axes,
                       int block, int together)
{
    const int inner_blocks = (inner + block - 1) / block, last_blocks = (last + block - 1) / block;
    const int begin = get_global_id(0) * together, end = begin + min(together, count - begin);
    for (int number = begin; number < end; number++) {
        const int inner_begin = number % inner_blocks * block, inner_end = min(inner, inner_begin + block);
        const int last_begin = number / inner_blocks % last_blocks * block, last_end = min(last, last_begin + block);
        int further = number / inner_blocks / last_blocks, of_x = first, of_y = 0;
        for (int axis = further_axes - 1; axis >= 0; axis--) {
            of_x += further % axes[3 * axis] * axes[3 * axis + 1];
            of_y += further % axes[3 * axis] * axes[3 * axis + 2];
            further /= axes[3 * axis];
        }
        for (int k = last_begin; k < last_end; k += STRIP) {
            __global const WORD *from = x + of_x + k * last_stride;
            __global WORD *to = y + of_y + k;
            if (k + STRIP <= last_end) {
                EXCHANGE(STRIP)
            } else {
                EXCHANGE(last_end - k)
            }
        }
    }
}

/* Blocks of so many columns: y[y_first + row y_distance + column] = x[x_first + row x_distance + column]. */
__kernel void copy_rows(__global const WORD *restrict x, __global WORD *restrict y, int count, int columns, int x_first,
                        int x_distance, int y_first, int y_distance)
{
    const int begin = get_global_id(0) * CHUNK, end = begin + min(CHUNK, count - begin);
    for (int i = begin; i < end;) {
        const int row = i / columns, column = i % columns, taken = min(columns - column, end - i);
        COPY(y + y_first + row * y_distance + column, x + x_first + row * x_distance + column, taken)
        i += taken;
    }
}

/* y[start_0 + k_0 step_0, start_1 + k_1 step_1, ...] = x.flat[first + k_0 stride_0 + k_1 stride_1 + ...], and another
   number between and around these. For each axis of y there are five numbers in axes: its size, start, step, how many of
   its indices are taken, and the stride of x, which along the last axis is 1. */
__kernel void scatter(__global const WORD *restrict x, __global WORD *restrict y, int count, int first, WORD around,
                      __global const int *restrict axes, int last_axis)
{
    const int begin = get_global_id(0) * CHUNK, end = begin + min(CHUNK, count - begin);
    const int columns = axes[5 * last_axis], start = axes[5 * last_axis + 1], step = axes[5 * last_axis + 2];
    const int taken = axes[5 * last_axis + 3];
    for (int i = begin; i < end;) {
        int row = i / columns, place = first, row_is_taken = 1;
        for (int axis = last_axis - 1; axis >= 0; axis--) {
            __global const int *numbers = axes + 5 * axis;
            const int distance = row % numbers[0] - numbers[1], k = distance / numbers[2];
            row_is_taken &= k * numbers[2] == distance && k >= 0 && k < numbers[3];
            place += k * numbers[4];
            row /= numbers[0];
        }
        int distance = i % columns - start;
        const int end_of_row = min(end, i + columns - i % columns);
        if (!row_is_taken || step == 1) {
            // What is around on one side, what is taken, what is around on the other.
            const int before = row_is_taken ? clamp(-distance, 0, end_of_row - i) : end_of_row - i;
            const int inside = row_is_taken ? clamp(taken - distance - before, 0, end_of_row - i - before) : 0;
            FILL(y + i, before)
            COPY(y + i + before, x + place + distance + before, inside)
            FILL(y + i + before + inside, end_of_row - i - before - inside)
            i = end_of_row;
        }
        for (; i < end_of_row; i++, distance++) {
            const int k = distance / step;
            y[i] = k * step == distance && k >= 0 && k < taken ? x[place + k] : around;
        }
    }
}

/* y[k_0, k_1, ...] = x.flat[t_0[k_0] + t_1[k_1] + ...], where the tables lie in one array behind each other, and
   another number where one of them has none, -1. For each axis of y there are two numbers in axes: its size,
   and where its table begins. */
__kernel void pick(__global const WORD *restrict x, __global WORD *restrict y, int count, WORD around,
                   __global const int *restrict tables, __global const int *restrict axes, int last_axis)
{
    const int begin = get_global_id(0) * CHUNK, end = begin + min(CHUNK, count - begin);
    const int columns = axes[2 * last_axis];
    for (int i = begin; i < end;) {
        int row = i / columns, place = 0, row_is_taken = 1;
        for (int axis = last_axis - 1; axis >= 0; axis--) {
            const int entry = tables[axes[2 * axis + 1] + row % axes[2 * axis]];
            row_is_taken &= entry >= 0;
            place += entry;
            row /= axes[2 * axis];
        }
        __global const int *entries = tables + axes[2 * last_axis + 1] + i % columns;
        const int end_of_row = min(end, i + columns - i % columns);
        for (; i < end_of_row; i++, entries++)
            y[i] = row_is_taken && *entries >= 0 ? x[place + *entries] : around;
    }
}
