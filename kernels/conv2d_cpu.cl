// The image layout of the tiled convolution, for CPU cores: one work-item, alone in its work-group, does one plane.

// packed[plane, phase, i, j] = image[plane, i step_y + base_y, j step_x + base_x], zero outside the image.
//
// A plane of `packed` has `lead` zeros, then packed_rows rows `pitch` apart, then zeros up to plane_size; the planes
// lie phases x plane_size apart. sums[plane] is the sum over the plane.
// Dimension 0: planes.
__kernel void pack(
    __global const float *restrict image, __global float *restrict packed, __global float *restrict sums,
    int has_sums, int planes, int height, int width, int start, int plane_stride, int plane_size, int lead,
    int packed_rows, int packed_columns, int pitch, int step_y, int base_y, int step_x, int base_x)
{
    const int plane = get_group_id(0);
    if (plane >= planes)
        return;
    image += plane * height * width;
    packed += start + plane * plane_stride;
    for (int place = 0; place < plane_size; place++)
        packed[place] = 0.0f;
    packed += lead;
    // Those j for which j step_x + base_x lies inside the image.
    const int j_begin = max(0, (step_x - 1 - base_x) / step_x);
    const int j_end = min(packed_columns, (width - 1 - base_x + step_x) / step_x);
    float sum = 0.0f;
    for (int i = 0; i < packed_rows; i++) {
        const int y = i * step_y + base_y;
        if (y < 0 || y >= height)
            continue;
        __global const float *row = image + y * width + base_x;
        __global float *target = packed + i * pitch;
        if (step_x == 1) {
            for (int j = j_begin; j < j_end; j++)
                target[j] = row[j];
        } else {
            for (int j = j_begin; j < j_end; j++)
                target[j] = row[j * step_x];
        }
        if (has_sums) {
            float row_sum = 0.0f;
            for (int j = j_begin; j < j_end; j++)
                row_sum += target[j];
            sum += row_sum;
        }
    }
    if (has_sums)
        sums[plane] = sum;
}
