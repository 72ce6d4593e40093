/* Vectors of WIDTH floats: how they are read and written wherever they lie, and the sum of their lanes. */

#if WIDTH == 16
typedef float16 vector;
inline float8 halved16(float16 v) { return v.lo + v.hi; }
#define HALVED(v) halved8(halved16(v))
#elif WIDTH == 8
typedef float8 vector;
#define HALVED(v) halved8(v)
#elif WIDTH == 4
typedef float4 vector;
#define HALVED(v) (v)
#else
typedef float vector;
#endif

#if WIDTH > 1
inline float4 halved8(float8 v) { return v.lo + v.hi; }
inline float added(vector v)
{
    const float4 four = HALVED(v);
    return (four.x + four.y) + (four.z + four.w);
}
#else
inline float added(vector v) { return v; }
#endif

typedef vector unaligned_vector __attribute__((aligned(4)));
#define LOAD(pointer) (*(__global const unaligned_vector *)(pointer))
#define STORE(pointer, value) *(__global unaligned_vector *)(pointer) = value

#define VECTOR_OF(array, i) LOAD(array + i)
#define NUMBER_OF(array, i) array[i]
