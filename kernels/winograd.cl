// What the kernels of Winograd's algorithm F(TILE x TILE, 3x3) share: vectors of channels, and transforms of images.
//
// Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016. The matrices A, B and G belong to the
// points 0, 1, -1 and infinity for TILE 2. For TILE 4 they belong to 0, 5/8, -5/8, 3/2, -3/2 and infinity: results are
// half as far off as with 1, -1, 2 and -2, since powers of points near 1 are neither large nor small, and those of
// these are exact (Barabasz et al., "Error Analysis and Improving the Accuracy of Winograd Convolution for Deep Neural
// Networks", ACM TOMS 2020; Alam et al., "Winograd Convolution for Deep Neural Networks: Efficient Point Selection",
// ACM TECS 2022).
//
// Build options: TILE, 2 or 4; WIDTH, 8 or 16, channels of a vector; VECTORS of output channels in a block.

#include "transpose.cl"

#define EDGE (TILE + 2)
#define POSITIONS (EDGE * EDGE)
#define BLOCK (WIDTH * VECTORS)

#if WIDTH == 16
typedef float16 vector;
typedef int16 choice;
typedef uchar16 bytes;
#define TRANSPOSE transpose_16
#define CONVERT_BYTES convert_uchar16
#define CONVERT_FLOATS convert_float16
#else
typedef float8 vector;
typedef int8 choice;
typedef uchar8 bytes;
#define TRANSPOSE transpose
#define CONVERT_BYTES convert_uchar8
#define CONVERT_FLOATS convert_float8
#endif
// Read and written through these types rather than by vloadn, which PoCL 3.0 turns into scalar loads.
typedef vector unaligned_vector __attribute__((aligned(4)));
typedef bytes unaligned_bytes __attribute__((aligned(1)));

// Of functions that take vectors by value PoCL's compiler learns that it may use registers of their width.
inline vector add_product(vector sum, float factor, vector terms)
{
    return sum + factor * terms;
}

// NAME: pixels[m][lane] = planes[lane][m] as a float, for m below count; lanes past the last plane are copies of it.
#define DEFINE_READ(NAME, ELEMENT, VECTOR, CONVERT)                                                                   \
    inline void NAME(                                                                                                 \
        __global const ELEMENT *restrict planes, int plane_size, int lanes, int count,                                \
        __global vector *restrict pixels)                                                                             \
    {                                                                                                                 \
        if (count < WIDTH) {                                                                                          \
            for (int m = 0; m < count; m++)                                                                           \
                for (int lane = 0; lane < WIDTH; lane++)                                                              \
                    ((__global float *)pixels)[m * WIDTH + lane] = planes[min(lane, lanes - 1) * plane_size + m];     \
            return;                                                                                                   \
        }                                                                                                             \
        for (int m = 0; m < count; m += WIDTH) {                                                                      \
            /* The last pixels are read together with some before them, so as not to read beyond the plane. */        \
            const int first = min(m, count - WIDTH);                                                                  \
            vector row[WIDTH];                                                                                        \
            _Pragma("unroll") for (int lane = 0; lane < WIDTH; lane++)                                                \
                row[lane] = CONVERT(*(__global const VECTOR *)(planes + min(lane, lanes - 1) * plane_size + first));  \
            TRANSPOSE(row);                                                                                           \
            _Pragma("unroll") for (int i = 0; i < WIDTH; i++) pixels[first + i] = row[i];                             \
        }                                                                                                             \
    }
DEFINE_READ(read_pixels, float, unaligned_vector, )
DEFINE_READ(read_codes, uchar, unaligned_bytes, CONVERT_FLOATS)

// pixels, rows of x_end - x_begin, = rows y_begin to y_end of an image, from its column x_begin on.
//
// With `is_unpooled`, the image is the gradient of max pooling over windows of 2x2 pixels side by side: `planes` has
// that of the maxima, and `winner` tells which pixel of its window each goes to, row by row; all others are 0. What is
// read of the two goes to `maxima` and `codes`.
inline void read_rows(
    __global const float *restrict planes, int is_unpooled, __global const uchar *restrict winner, int lanes,
    int height, int width, int y_begin, int y_end, int x_begin, int x_end, __global vector *restrict pixels,
    __global vector *restrict maxima, __global vector *restrict codes)
{
    const int pitch = x_end - x_begin, inside = y_end - y_begin;
    if (!is_unpooled) {
        // Whole rows follow each other in the image as they do here.
        const int runs = pitch == width ? min(inside, 1) : inside, run = pitch == width ? inside * width : pitch;
        for (int i = 0; i < runs; i++)
            read_pixels(planes + (y_begin + i) * width + x_begin, height * width, lanes, run, pixels + i * pitch);
        return;
    }
    const int pooled_h = height / 2, pooled_w = width / 2, plane_size = pooled_h * pooled_w;
    const int row_begin = y_begin / 2, row_end = min((y_end + 1) / 2, pooled_h);
    const int first = x_begin / 2, count = min((x_end + 1) / 2, pooled_w) - first;
    // A last row or column that belongs to no window.
    if (y_end > 2 * pooled_h)
        for (int j = 0; j < pitch; j++)
            pixels[(inside - 1) * pitch + j] = (vector)(0.0f);
    if (x_end > 2 * pooled_w)
        for (int i = 0; i < inside; i++)
            pixels[i * pitch + pitch - 1] = (vector)(0.0f);
    const int is_whole = count == pooled_w, pooled_rows = row_end - row_begin;
    const int runs = is_whole ? min(pooled_rows, 1) : pooled_rows, run = is_whole ? pooled_rows * count : count;
    for (int i = 0; i < runs; i++) {
        const int place = (row_begin + i) * pooled_w + first;
        read_pixels(planes + place, plane_size, lanes, run, maxima + i * count);
        read_codes(winner + place, plane_size, lanes, run, codes + i * count);
    }
    for (int row = row_begin; row < row_end; row++, maxima += count, codes += count) {
        const int left = 2 * first - x_begin, above = 2 * row - y_begin;
        for (int p = 0; p < 2; p++) {
            if (above + p < 0 || above + p >= inside)
                continue;
            __global vector *target = pixels + (above + p) * pitch;
            // Of the first window and the last one there may be a half.
            for (int q = 0; q < 2; q++) {
                const float code = 2 * p + q;
                const int j_begin = left + q < 0 ? 1 : 0, j_end = min(count, (pitch - left - q + 1) / 2);
                for (int j = j_begin; j < j_end; j++)
                    target[left + 2 * j + q] = codes[j] == code ? maxima[j] : (vector)(0.0f);
            }
        }
    }
}

// d becomes B'd.
inline void transform_pixels(vector *d)
{
#if TILE == 4
    const vector even = d[4] - 2.25f * d[2], odd = 0.625f * d[3] - 1.40625f * d[1];
    const vector far_even = d[4] - 0.390625f * d[2], far_odd = d[3] - 0.390625f * d[1];
    d[0] = d[4] - 2.640625f * d[2] + 0.87890625f * d[0];
    d[5] = d[5] - 2.640625f * d[3] + 0.87890625f * d[1];
    d[1] = even + odd;
    d[2] = even - odd;
    d[3] = far_even + 1.5f * far_odd;
    d[4] = far_even - 1.5f * far_odd;
#else
    const vector d_12 = d[1] + d[2], d_21 = d[2] - d[1];
    d[0] = d[0] - d[2];
    d[3] = d[1] - d[3];
    d[1] = d_12;
    d[2] = d_21;
#endif
}

// z, of TILE, becomes A z, of EDGE.
inline void transform_gradients(vector *z)
{
#if TILE == 4
    const vector even = z[0] + 0.390625f * z[2], odd = z[1] + 0.390625f * z[3];
    const vector far_even = z[0] + 2.25f * z[2], far_odd = z[1] + 2.25f * z[3];
    z[5] = z[3];
    z[1] = even + 0.625f * odd;
    z[2] = even - 0.625f * odd;
    z[3] = far_even + 1.5f * far_odd;
    z[4] = far_even - 1.5f * far_odd;
#else
    const vector even = z[0], odd = z[1];
    z[1] = even + odd;
    z[2] = even - odd;
    z[3] = -odd;
#endif
}

// v[position v_position + tile v_tile], a vector of channels, = the transform of the tiles of one image in a strip:
// B'd B of tiles of `side` EDGE, A d A' of those of `side` TILE, which lie TILE pixels apart.
//
// (y_first, x_first) is the first pixel of the strip's first tile, which may lie outside the image, where pixels are 0.
// `pixels` is room for the rows that the strip reads, and for the maxima and codes of those. `is_unpooled` and `winner`
// tell what the image is, as in read_rows.
inline void transform_image(
    __global const float *restrict planes, int is_unpooled, __global const uchar *restrict winner, int lanes,
    int height, int width, int y_first, int x_first, const int side, int rows, int columns,
    __global vector *restrict pixels, __global vector *restrict v, const int v_tile, int v_position)
{
    const int strip_height = (rows - 1) * TILE + side, strip_width = (columns - 1) * TILE + side;
    const int y_begin = clamp(y_first, 0, height), y_end = clamp(y_first + strip_height, 0, height);
    const int x_begin = clamp(x_first, 0, width), x_end = clamp(x_first + strip_width, 0, width);
    const int pitch = x_end - x_begin;
    const int above = clamp(y_begin - y_first, 0, strip_height), inside = y_end - y_begin;
    __global vector *restrict maxima = pixels + strip_height * pitch;
    for (int m = 0; m < above * pitch; m++)
        pixels[m] = (vector)(0.0f);
    for (int m = (above + inside) * pitch; m < strip_height * pitch; m++)
        pixels[m] = (vector)(0.0f);
    if (inside > 0 && pitch > 0)
        read_rows(
            planes, is_unpooled, winner, lanes, height, width, y_begin, y_end, x_begin, x_end,
            pixels + above * pitch, maxima, maxima + (strip_height / 2 + 1) * (pitch / 2 + 1));

    for (int row = 0; row < rows; row++)
        for (int column = 0; column < columns; column++, v += v_tile) {
            __global const vector *corner = pixels + row * TILE * pitch + x_first - x_begin + column * TILE;
            vector d[EDGE][EDGE];
            #pragma unroll
            for (int j = 0; j < EDGE; j++) {
                const int x = x_first + column * TILE + j;
                if (j < side && x >= x_begin && x < x_end) {
                    #pragma unroll
                    for (int i = 0; i < EDGE; i++)
                        d[j][i] = i < side ? corner[i * pitch + j] : (vector)(0.0f);
                    if (side == EDGE)
                        transform_pixels(d[j]);
                    else
                        transform_gradients(d[j]);
                } else {
                    #pragma unroll
                    for (int i = 0; i < EDGE; i++)
                        d[j][i] = (vector)(0.0f);
                }
            }
            #pragma unroll
            for (int i = 0; i < EDGE; i++) {
                vector of_row[EDGE];
                #pragma unroll
                for (int j = 0; j < EDGE; j++)
                    of_row[j] = d[j][i];
                if (side == EDGE)
                    transform_pixels(of_row);
                else
                    transform_gradients(of_row);
                #pragma unroll
                for (int j = 0; j < EDGE; j++)
                    v[(i * EDGE + j) * v_position] = of_row[j];
            }
        }
}
