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
    const int rows = last_axis > 0 ? axes[2 * last_axis - 2] : 1, distance = last_axis > 0 ? axes[2 * last_axis - 1] : 0;
    for (int i = begin; i < end;) {
        int column = i % columns, row = i / columns % rows, plane = i / columns / rows;
        __global const WORD *of_row = x + first + row * distance;
        for (int axis = last_axis - 2; axis >= 0; axis--) {
            of_row += plane % axes[2 * axis] * axes[2 * axis + 1];
            plane /= axes[2 * axis];
        }
        // Row after row without a division.
        for (; row < rows && i < end; row++, of_row += distance, column = 0) {
            const int taken = min(columns - column, end - i);
            if (stride == 1)
                COPY(y + i, of_row + column, taken)
            else
                for (int c = 0; c < taken; c++)
                    y[i + c] = of_row[(column + c) * stride];
            i += taken;
        }
    }
}

#ifdef RUN

/* Options of how a block is exchanged, beside RUN one of the others at most:
   RUN          an element is a run of so many words, which lie behind each other in x and in y
   TILE         so many indices of either axis in registers, of which a block has no fewer; y is written past the cache
                with STREAM, in whole lines of LINE elements, which then begin where such lines do
   SMALL_LAST   the last axis has so few indices, all in each block, and inner is the axis before it
   SMALL_INNER  inner has so few, which lie in x beside each other for one index of the last axis after the other
   What is written past the cache need not be read before, which is half the time of what only writes. */
#ifdef TILE

#define LANE WORD
#include "transpose.cl"
typedef LANES(WORD, TILE) tile_row;
typedef tile_row unaligned_tile_row __attribute__((aligned(sizeof(WORD))));

#if TILE == 16
#define TRANSPOSE transpose_16
#else
#define TRANSPOSE transpose
#endif

#define PUT(pointer, value) *(__global unaligned_tile_row *)(pointer) = value;
#if STREAM
#ifdef __has_builtin
#if __has_builtin(__builtin_nontemporal_store)
#undef PUT
#define PUT(pointer, value) __builtin_nontemporal_store(value, (__global tile_row *)(pointer));
#endif
#endif
#endif

/* In strips, so that of x as long rows are read as there are, and of y whole lines are written. Where tiles do not come
   out even, the last one takes indices again. */
inline void exchange_block(__global const WORD *from, __global WORD *to, int inner, int inner_stride, int last,
                           int last_stride)
{
    for (int strip = 0; strip < last; strip += LINE)
        for (int i = 0; i < inner; i += TILE)
            for (int k = strip; k < min(last, strip + LINE); k += TILE) {
                const int i_first = min(i, inner - TILE), k_first = min(k, last - TILE);
                tile_row rows[TILE];
                #pragma unroll
                for (int n = 0; n < TILE; n++)
                    rows[n] = *(__global const unaligned_tile_row *)(from + (k_first + n) * last_stride + i_first);
                TRANSPOSE(rows);
                #pragma unroll
                for (int n = 0; n < TILE; n++)
                    PUT(to + (i_first + n) * inner_stride + k_first, rows[n])
            }
}

#elif defined(SMALL_LAST)

inline void exchange_block(__global const WORD *restrict from, __global WORD *restrict to, int inner, int inner_stride,
                           int last, int last_stride)
{
    for (int i = 0; i < inner; i++)
        #pragma unroll
        for (int k = 0; k < SMALL_LAST; k++)
            to[i * SMALL_LAST + k] = from[k * last_stride + i];
}

#elif defined(SMALL_INNER)

inline void exchange_block(__global const WORD *restrict from, __global WORD *restrict to, int inner, int inner_stride,
                           int last, int last_stride)
{
    for (int k = 0; k < last; k++)
        #pragma unroll
        for (int i = 0; i < SMALL_INNER; i++)
            to[i * inner_stride + k] = from[k * SMALL_INNER + i];
}

#else

/* In strips, so that what is read of x is in the cache until all of it is read. */
#define STRIP 8

inline void exchange_block(__global const WORD *restrict from, __global WORD *restrict to, int inner, int inner_stride,
                           int last, int last_stride)
{
    for (int strip = 0; strip < last; strip += STRIP)
        for (int i = 0; i < inner; i++)
            for (int k = strip; k < min(last, strip + STRIP); k++)
                #pragma unroll
                for (int w = 0; w < RUN; w++)
                    to[i * inner_stride + k * RUN + w] = from[k * last_stride + i * RUN + w];
}

#endif

/* The same as strided where the elements of x lie behind each other along another axis of y than the last, inner. It is
   done in blocks of so many indices of either, the last ones with what is left; a work-item does several, together. For
   each further axis there are three numbers in axes: its size, and the strides of x and of y. */
__kernel void exchange(__global const WORD *restrict x, __global WORD *restrict y, int count, int first, int inner,
                       int inner_stride, int last, int last_stride, __global const int *restrict axes, int further_axes,
                       int inner_block, int last_block, int together)
{
    const int inner_blocks = max(1, inner / inner_block), last_blocks = max(1, last / last_block);
    const int blocks = inner_blocks * last_blocks;
    const int begin = get_global_id(0) * together, end = begin + min(together, count - begin);
    axes += 3 * further_axes - 3;
    for (int number = begin; number < end;) {
        int block = number % blocks, row = number / blocks % axes[0], further = number / blocks / axes[0];
        int of_x = first + row * axes[1], of_y = row * axes[2];
        for (int axis = -3; axis > -3 * further_axes; axis -= 3) {
            of_x += further % axes[axis] * axes[axis + 1];
            of_y += further % axes[axis] * axes[axis + 2];
            further /= axes[axis];
        }
        // Block after block along the last of the further axes without a division by the others.
        for (; row < axes[0] && number < end; row++, of_x += axes[1], of_y += axes[2], block = 0)
            for (; block < blocks && number < end; block++, number++) {
                const int i = block % inner_blocks, k = block / inner_blocks;
                const int i_begin = i * inner_block, i_end = i < inner_blocks - 1 ? i_begin + inner_block : inner;
                const int k_begin = k * last_block, k_end = k < last_blocks - 1 ? k_begin + last_block : last;
                exchange_block(x + of_x + k_begin * last_stride + i_begin * RUN,
                               y + of_y + i_begin * inner_stride + k_begin * RUN, i_end - i_begin, inner_stride,
                               k_end - k_begin, last_stride);
            }
    }
    // What was written past the cache is there before anything that is done when this is.
    mem_fence(CLK_GLOBAL_MEM_FENCE);
}

#endif

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
    // Those of the axis before, or of one index.
    __global const int *of_rows = axes + 5 * last_axis - 5;
    const int rows = last_axis > 0 ? of_rows[0] : 1;
    for (int i = begin; i < end;) {
        int column = i % columns, row = i / columns % rows, plane = i / columns / rows;
        int of_plane = first, plane_is_taken = 1;
        for (int axis = last_axis - 2; axis >= 0; axis--) {
            __global const int *numbers = axes + 5 * axis;
            const int distance = plane % numbers[0] - numbers[1], k = distance / numbers[2];
            plane_is_taken &= k * numbers[2] == distance && k >= 0 && k < numbers[3];
            of_plane += k * numbers[4];
            plane /= numbers[0];
        }
        for (; row < rows && i < end; row++, column = 0) {
            int place = of_plane, row_is_taken = plane_is_taken;
            if (last_axis > 0) {
                // Most steps are 1, and divisions slow.
                const int distance = row - of_rows[1], k = of_rows[2] == 1 ? distance : distance / of_rows[2];
                row_is_taken &= k * of_rows[2] == distance && k >= 0 && k < of_rows[3];
                place += k * of_rows[4];
            }
            int distance = column - start;
            const int end_of_row = min(end, i + columns - column);
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
}

/* y[k_0, k_1, ...] = x.flat[t_0[k_0] + t_1[k_1] + ...], where the tables lie in one array behind each other, and
   another number where one of them has none, -1. For each axis of y there are two numbers in axes: its size,
   and where its table begins. */
__kernel void pick(__global const WORD *restrict x, __global WORD *restrict y, int count, WORD around,
                   __global const int *restrict tables, __global const int *restrict axes, int last_axis)
{
    const int begin = get_global_id(0) * CHUNK, end = begin + min(CHUNK, count - begin);
    const int columns = axes[2 * last_axis];
    __global const int *entries = tables + axes[2 * last_axis + 1];
    // Those of the axis before, or of one index.
    const int rows = last_axis > 0 ? axes[2 * last_axis - 2] : 1;
    __global const int *of_rows = tables + (last_axis > 0 ? axes[2 * last_axis - 1] : 0);
    for (int i = begin; i < end;) {
        int column = i % columns, row = i / columns % rows, plane = i / columns / rows;
        int of_plane = 0, plane_is_taken = 1;
        for (int axis = last_axis - 2; axis >= 0; axis--) {
            const int entry = tables[axes[2 * axis + 1] + plane % axes[2 * axis]];
            plane_is_taken &= entry >= 0;
            of_plane += entry;
            plane /= axes[2 * axis];
        }
        for (; row < rows && i < end; row++, column = 0) {
            const int of_row = last_axis > 0 ? of_rows[row] : 0, row_is_taken = plane_is_taken && of_row >= 0;
            const int end_of_row = min(end, i + columns - column);
            for (; i < end_of_row; i++, column++)
                y[i] = row_is_taken && entries[column] >= 0 ? x[of_plane + of_row + entries[column]] : around;
        }
    }
}
