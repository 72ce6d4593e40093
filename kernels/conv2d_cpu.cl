// The image layout of the tiled convolution, for CPU cores: one work-item, alone in its work-group, does a
// share of the planes.

typedef float8 unaligned_eight __attribute__((aligned(4)));
typedef float16 unaligned_sixteen __attribute__((aligned(4)));

inline void clear(__global float *restrict target, int count)
{
    int j = 0;
    for (; j + 8 <= count; j += 8)
        *(__global unaligned_eight *)(target + j) = (float8)(0.0f);
    for (; j < count; j++)
        target[j] = 0.0f;
}

// target[j] = row[j step] for j below count; of the row there are `readable` elements.
inline void copy(
    __global const float *restrict row, int step, int readable, __global float *restrict target, int count)
{
    int j = 0;
    if (step == 1)
        for (; j + 8 <= count; j += 8)
            *(__global unaligned_eight *)(target + j) = *(__global const unaligned_eight *)(row + j);
    else if (step == 2)
        for (; j + 8 <= count && 2 * j + 16 <= readable; j += 8) {
            const float16 both = *(__global const unaligned_sixteen *)(row + 2 * j);
            *(__global unaligned_eight *)(target + j) = both.even;
        }
    for (; j < count; j++)
        target[j] = row[j * step];
}

// In lanes, since each addition waits for the one before.
inline float sum_of(__global const float *restrict row, int count)
{
    float8 lanes = (float8)(0.0f);
    int j = 0;
    for (; j + 8 <= count; j += 8)
        lanes += *(__global const unaligned_eight *)(row + j);
    const float4 four = lanes.lo + lanes.hi;
    const float2 two = four.lo + four.hi;
    float sum = two.x + two.y;
    for (; j < count; j++)
        sum += row[j];
    return sum;
}

// Write one plane of `packed`, as `pack` tells, and return the sum over its last phase, if `has_sum`.
inline float pack_plane(
    __global const float *restrict image, __global float *restrict packed, int has_sum,
    __global const int *restrict bases, int phases, int height, int width, int plane_size, int lead, int packed_rows,
    int packed_columns, int pitch, int step_y, int step_x)
{
    float sum = 0.0f;
    for (int phase = 0; phase < phases; phase++) {
        const int base_y = bases[2 * phase], base_x = bases[2 * phase + 1];
        // Those j for which j step_x + base_x lies inside the image.
        const int begin = min(packed_columns, max(0, (step_x - 1 - base_x) / step_x));
        const int end = max(begin, min(packed_columns, (width - 1 - base_x + step_x) / step_x));
        __global float *target = packed + phase * plane_size;
        __global const float *const plane_end = target + plane_size;
        clear(target, lead);
        target += lead;
        sum = 0.0f;
        for (int i = 0; i < packed_rows; i++, target += pitch) {
            const int y = i * step_y + base_y;
            // Behind the last row there need not be room for all that no window reads.
            const int room = min(pitch, (int)(plane_end - target));
            if (y < 0 || y >= height || begin == end) {
                clear(target, room);
                continue;
            }
            const int first = begin * step_x + base_x, last = min(end, room);
            clear(target, begin);
            copy(image + y * width + first, step_x, width - first, target + begin, last - begin);
            clear(target + last, room - last);
            if (has_sum)
                sum += sum_of(target + begin, last - begin);
        }
        clear(target, (int)(plane_end - target));
    }
    return sum;
}

// packed[plane, phase, i, j] = image[plane, i step_y + base_y, j step_x + base_x], zero outside the image; the bases
// of a phase are bases[phase].
//
// The planes of a channel lie beside each other, those of `images` images. A plane of `packed`, of plane_size, has
// `lead` zeros, then packed_rows rows `pitch` apart, then zeros. sums[plane] is the sum over its last phase.
// Dimension 0: shares of the planes.
__kernel void pack(
    __global const float *restrict image, __global float *restrict packed, __global float *restrict sums,
    int has_sums, __global const int *restrict bases, int phases, int planes, int planes_per_item, int images,
    int height, int width, int plane_size, int lead, int packed_rows, int packed_columns, int pitch, int step_y,
    int step_x)
{
    const int begin = get_group_id(0) * planes_per_item, end = min(begin + planes_per_item, planes);
    for (int plane = begin; plane < end; plane++) {
        const int channels = planes / images, position = plane % channels * images + plane / channels;
        const float sum = pack_plane(
            image + plane * height * width, packed + position * phases * plane_size, has_sums, bases, phases, height,
            width, plane_size, lead, packed_rows, packed_columns, pitch, step_y, step_x);
        if (has_sums)
            sums[plane] = sum;
    }
}
