/* Cross entropy of the softmax of logits and the numbers of classes; see
   refcnn/reference/sparse_softmax_cross_entropy.py. One work-item a place n, d; the classes of a place are inner numbers
   apart. The target of its own class is share + hit, of each other class share, both times its weight, if classes have
   weights; places of the class ignored, if there is such a class, have targets of 0. */

/* Terms that are added one after the other, at most. */
#define TERMS 1024

inline float target(int i, long own, __global const float *restrict class_weight, int are_weighted, float hit,
                    float share)
{
    const float q = i == own ? hit + share : share;
    return are_weighted ? class_weight[i] * q : q;
}

/* A target times a value; a target of 0 takes no part, even of a value that is not finite. */
inline float weighted(float q, float value)
{
    return q == 0.0f ? 0.0f : q * value;
}

/* log p, each place's loss, and its weight in the mean. */
__kernel void sparse_softmax_cross_entropy_forward(__global const float *restrict x, __global const long *restrict t,
                                                   __global const float *restrict class_weight,
                                                   __global float *restrict log_p, __global float *restrict loss,
                                                   __global float *restrict weight, int places, int classes, int inner,
                                                   int are_weighted, float hit, float share, int ignores,
                                                   long ignored)
{
    const int place = get_global_id(0);
    if (place >= places)
        return;
    const size_t first = (size_t)(place / inner) * classes * inner + place % inner;
    const long own = t[place];
    const int counts = !ignores || own != ignored;
    x += first;
    log_p += first;
    float m = x[0];
    for (int i = 1; i < classes; i++) {
        const float value = x[(size_t)i * inner];
        m = value > m || isnan(value) ? value : m;
    }
    float sum = 0.0f;
    for (int begin = 0; begin < classes; begin += TERMS) {
        float part = 0.0f;
        for (int i = begin; i < begin + min(TERMS, classes - begin); i++)
            part += exp(x[(size_t)i * inner] - m);
        sum += part;
    }
    const float log_sum = log(sum);
    float total = 0.0f;
    for (int i = 0; i < classes; i++) {
        const float value = x[(size_t)i * inner] - m - log_sum;
        log_p[(size_t)i * inner] = value;
        if (counts)
            total -= weighted(target(i, own, class_weight, are_weighted, hit, share), value);
    }
    loss[place] = total;
    weight[place] = !counts ? 0.0f : are_weighted ? class_weight[own] : 1.0f;
}

__kernel void sparse_softmax_cross_entropy_mean(__global const float *restrict sum, __global const float *restrict total,
                                                __global float *restrict mean)
{
    mean[0] = sum[0] / total[0];
}

__kernel void sparse_softmax_cross_entropy_backward(__global const float *restrict dy,
                                                    __global const float *restrict log_p,
                                                    __global const long *restrict t,
                                                    __global const float *restrict class_weight,
                                                    __global const float *restrict total, __global float *restrict dx,
                                                    int places, int classes, int inner, int are_weighted, float hit,
                                                    float share, int ignores, long ignored, int reduce_sum)
{
    const int place = get_global_id(0);
    if (place >= places)
        return;
    const size_t first = (size_t)(place / inner) * classes * inner + place % inner;
    const long own = t[place];
    const float g = reduce_sum ? dy[0] / total[0] : dy[place];
    int takes_part = 0;
    float sum = 0.0f;
    for (int i = 0; i < classes; i++) {
        const float q = target(i, own, class_weight, are_weighted, hit, share);
        takes_part |= q != 0.0f;
        sum += weighted(q, g);
    }
    takes_part &= !ignores || own != ignored;
    for (int i = 0; i < classes; i++) {
        const float gq = weighted(target(i, own, class_weight, are_weighted, hit, share), g);
        const size_t at = first + (size_t)i * inner;
        dx[at] = takes_part ? exp(log_p[at]) * sum - gq : 0.0f;
    }
}
