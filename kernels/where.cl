/* A choice between two arrays by truth values; see refcnn/reference/where.py. Build options: CHUNK, the elements that a
   work-item does; WORD, an unsigned integer as large as an element, so that every bit of it is kept whatever it is;
   STEP_OF_CONDITION, STEP_OF_A, STEP_OF_B, 1, or 0 where a single element stands for all. */

__kernel void where_forward(__global const uchar *condition, __global const WORD *a, __global const WORD *b,
                            __global WORD *restrict y, int count)
{
    const int begin = get_global_id(0) * CHUNK, end = begin + min(CHUNK, count - begin);
    for (int i = begin; i < end; i++)
        y[i] = condition[i * STEP_OF_CONDITION] ? a[i * STEP_OF_A] : b[i * STEP_OF_B];
}

/* The gradient of what is chosen where the condition is chosen_by, 1 of a and 0 of b. */
__kernel void where_backward(__global const uchar *condition, __global const float *dy, __global float *restrict dx,
                             int count, int chosen_by)
{
    const int begin = get_global_id(0) * CHUNK, end = begin + min(CHUNK, count - begin);
    for (int i = begin; i < end; i++)
        dx[i] = condition[i * STEP_OF_CONDITION] == chosen_by ? dy[i] : 0.0f;
}
