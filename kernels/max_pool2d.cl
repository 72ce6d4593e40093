/* The largest pixel under a sliding window; see refcnn/reference/max_pool2d.py.
   maps is N C: every channel of every image is pooled by itself. */

__kernel void max_pool2d_forward(__global const float *x, __global float *y, __global int *winner,
                                 int maps, int height, int width, int out_h, int out_w,
                                 int kh, int kw, int s_h, int s_w, int top, int left)
{
    int j = get_global_id(0), i = get_global_id(1), map = get_global_id(2);
    if (j >= out_w || i >= out_h || map >= maps)
        return;
    __global const float *image = x + (size_t)map * height * width;
    int row = i * s_h - top, column = j * s_w - left;
    int p_first = max(0, -row), p_end = min(kh, height - row);
    int q_first = max(0, -column), q_end = min(kw, width - column);
    int best = p_first * kw + q_first;
    float largest = image[(row + p_first) * width + column + q_first];
    for (int p = p_first; p < p_end; p++)
        for (int q = q_first; q < q_end; q++) {
            float pixel = image[(row + p) * width + column + q];
            if (pixel > largest || (isnan(pixel) && !isnan(largest))) {
                largest = pixel;
                best = p * kw + q;
            }
        }
    size_t place = ((size_t)map * out_h + i) * out_w + j;
    y[place] = largest;
    winner[place] = best;
}

/* One work-item for each pixel of x: it adds the dy of the windows that it won, so no two write to one place. */
__kernel void max_pool2d_backward(__global const float *dy, __global const int *winner, __global float *dx,
                                  int maps, int height, int width, int out_h, int out_w,
                                  int kh, int kw, int s_h, int s_w, int top, int left)
{
    int column = get_global_id(0), row = get_global_id(1), map = get_global_id(2);
    if (column >= width || row >= height || map >= maps)
        return;
    int i_first = max(0, (row + top - kh + s_h) / s_h), i_last = min(out_h - 1, (row + top) / s_h);
    int j_first = max(0, (column + left - kw + s_w) / s_w), j_last = min(out_w - 1, (column + left) / s_w);
    float sum = 0.0f;
    for (int i = i_first; i <= i_last; i++)
        for (int j = j_first; j <= j_last; j++) {
            int p = row + top - i * s_h, q = column + left - j * s_w;
            size_t place = ((size_t)map * out_h + i) * out_w + j;
            if (winner[place] == p * kw + q)
                sum += dy[place];
        }
    dx[((size_t)map * height + row) * width + column] = sum;
}
