// The image layout of the tiled convolution, for GPUs: one work-group does a part of one plane. As `pack` of
// conv2d_cpu.cl for one image, but sums[part, plane] are of parts.
//
// Build option: GROUP, the work-items of a group, a power of two.

// Dimension 0: planes x GROUP; 1: parts; 2: phases.
__kernel __attribute__((reqd_work_group_size(GROUP, 1, 1)))
void pack(
    __global const float *restrict image, __global float *restrict packed, __global float *restrict sums,
    int has_sums, __global const int *restrict bases, int phases, int planes, int height, int width, int plane_size,
    int lead, int packed_rows, int packed_columns, int pitch, int step_y, int step_x)
{
    __local float sum_of_item[GROUP];
    const int plane = get_group_id(0), item = get_local_id(0), part = get_group_id(1), parts = get_num_groups(1);
    const int phase = get_group_id(2), base_y = bases[2 * phase], base_x = bases[2 * phase + 1];
    image += plane * height * width;
    packed += (plane * phases + phase) * plane_size;
    float sum = 0.0f;
    for (int e = part * GROUP + item; e < plane_size; e += parts * GROUP) {
        const int place = e - lead;
        const int i = place / pitch, j = place % pitch;
        const int y = i * step_y + base_y, x = j * step_x + base_x;
        const int inside = place >= 0 && i < packed_rows && j < packed_columns
            && y >= 0 && y < height && x >= 0 && x < width;
        const float pixel = inside ? image[y * width + x] : 0.0f;
        packed[e] = pixel;
        sum += pixel;
    }
    if (!has_sums)
        return;
    sum_of_item[item] = sum;
    for (int half_ = GROUP / 2; half_ > 0; half_ /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (item < half_)
            sum_of_item[item] += sum_of_item[item + half_];
    }
    if (item == 0)
        sums[part * planes + plane] = sum_of_item[0];
}
