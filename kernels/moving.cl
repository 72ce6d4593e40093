/* Numbers that go to another place: transposed arrays, parts of them, arrays that are joined or padded; see
   refcnn/reference/transpose.py, slice.py, concat.py and pad.py there. Build options: WORD, an unsigned integer as large as an element, so that every bit of it
   is kept whatever it is; CHUNK, the elements that a work-item does. */

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
        for (; i < end_of_row; i++, place += stride)
            y[i] = x[place];
    }
}

/* Blocks of so many columns: y[y_first + row y_distance + column] = x[x_first + row x_distance + column]. */
__kernel void copy_rows(__global const WORD *restrict x, __global WORD *restrict y, int count, int columns, int x_first,
                        int x_distance, int y_first, int y_distance)
{
    const int begin = get_global_id(0) * CHUNK, end = begin + min(CHUNK, count - begin);
    for (int i = begin; i < end;) {
        const int row = i / columns, column = i % columns, taken = min(columns - column, end - i);
        __global const WORD *from = x + x_first + row * x_distance + column;
        __global WORD *to = y + y_first + row * y_distance + column;
        for (int k = 0; k < taken; k++)
            to[k] = from[k];
        i += taken;
    }
}

/* y[start_0 + k_0 step_0, start_1 + k_1 step_1, ...] = x.flat[first + k_0 stride_0 + k_1 stride_1 + ...], and the number
   that is told between and around these. For each axis of y there are five numbers in axes: its size, start, step, how
   many of its indices are taken, and the stride of x, which along the last axis is 1. */
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
        for (; i < end_of_row; i++, distance++) {
            const int k = distance / step;
            y[i] = row_is_taken && k * step == distance && k >= 0 && k < taken ? x[place + k] : around;
        }
    }
}

/* y[k_0, k_1, ...] = x.flat[t_0[k_0] + t_1[k_1] + ...], where the tables lie in one array behind each other, and
   the number that is told where one of them has none, -1. For each axis of y there are two numbers in axes: its size,
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
