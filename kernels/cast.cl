/* y is x in another type; see refcnn/reference/cast.py.
   Build options: CHUNK, the elements that a work-item does; FROM and TO, the types of x and y in memory; IS_TRUTH where
   y has truth values, 1 unless x is 0; OF_FLOATS where x has floats. */

#if defined(IS_TRUTH) && defined(OF_FLOATS)
/* By its bits, since a device may take a subnormal number for 0. */
#define CONVERTED(value) ((as_uint(value) << 1) != 0)
#elif defined(IS_TRUTH)
#define CONVERTED(value) ((value) != 0)
#else
#define CONVERT_TO(type) convert_##type
#define CONVERT(type) CONVERT_TO(type)
#define CONVERTED(value) CONVERT(TO)(value)
#endif

__kernel void cast_forward(__global const FROM *restrict x, __global TO *restrict y, int count)
{
    const int begin = get_global_id(0) * CHUNK, end = begin + min(CHUNK, count - begin);
    for (int i = begin; i < end; i++)
        y[i] = CONVERTED(x[i]);
}
