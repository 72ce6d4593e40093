// Transposition of 8 x 8 and of 16 x 16 numbers in registers: of LANE, which is float unless it is another type.

#ifndef LANE
#define LANE float
#endif
#define LANES_JOINED(type, count) type##count
#define LANES(type, count) LANES_JOINED(type, count)
typedef LANES(LANE, 8) lanes8;
typedef LANES(LANE, 16) lanes16;

// Written element by element, since Oclgrind 21.10 does not survive vectors that are put together from parts.
#define SINGLES_LOW(a, b) (lanes8)(a.s0, b.s0, a.s1, b.s1, a.s4, b.s4, a.s5, b.s5)
#define SINGLES_HIGH(a, b) (lanes8)(a.s2, b.s2, a.s3, b.s3, a.s6, b.s6, a.s7, b.s7)
#define PAIRS_LOW(a, b) (lanes8)(a.s0, a.s1, b.s0, b.s1, a.s4, a.s5, b.s4, b.s5)
#define PAIRS_HIGH(a, b) (lanes8)(a.s2, a.s3, b.s2, b.s3, a.s6, a.s7, b.s6, b.s7)
#define HALVES_LOW(a, b) (lanes8)(a.s0, a.s1, a.s2, a.s3, b.s0, b.s1, b.s2, b.s3)
#define HALVES_HIGH(a, b) (lanes8)(a.s4, a.s5, a.s6, a.s7, b.s4, b.s5, b.s6, b.s7)

// row[i][j] and row[j][i] change places, in registers.
inline void transpose(lanes8 *row)
{
    #pragma unroll
    for (int i = 0; i < 8; i += 4) {
        const lanes8 low_01 = SINGLES_LOW(row[i], row[i + 1]), high_01 = SINGLES_HIGH(row[i], row[i + 1]);
        const lanes8 low_23 = SINGLES_LOW(row[i + 2], row[i + 3]), high_23 = SINGLES_HIGH(row[i + 2], row[i + 3]);
        row[i] = PAIRS_LOW(low_01, low_23);
        row[i + 1] = PAIRS_HIGH(low_01, low_23);
        row[i + 2] = PAIRS_LOW(high_01, high_23);
        row[i + 3] = PAIRS_HIGH(high_01, high_23);
    }
    // Now each half is four rows of one column.
    #pragma unroll
    for (int i = 0; i < 4; i++) {
        const lanes8 first = HALVES_LOW(row[i], row[i + 4]);
        row[i + 4] = HALVES_HIGH(row[i], row[i + 4]);
        row[i] = first;
    }
}

#define SINGLES_LOW_16(a, b)                                                                  \
    (lanes16)(a.s0, b.s0, a.s1, b.s1, a.s4, b.s4, a.s5, b.s5,                                 \
              a.s8, b.s8, a.s9, b.s9, a.sc, b.sc, a.sd, b.sd)
#define SINGLES_HIGH_16(a, b)                                                                 \
    (lanes16)(a.s2, b.s2, a.s3, b.s3, a.s6, b.s6, a.s7, b.s7,                                 \
              a.sa, b.sa, a.sb, b.sb, a.se, b.se, a.sf, b.sf)
#define PAIRS_LOW_16(a, b)                                                                    \
    (lanes16)(a.s0, a.s1, b.s0, b.s1, a.s4, a.s5, b.s4, b.s5,                                 \
              a.s8, a.s9, b.s8, b.s9, a.sc, a.sd, b.sc, b.sd)
#define PAIRS_HIGH_16(a, b)                                                                   \
    (lanes16)(a.s2, a.s3, b.s2, b.s3, a.s6, a.s7, b.s6, b.s7,                                 \
              a.sa, a.sb, b.sa, b.sb, a.se, a.sf, b.se, b.sf)
#define QUARTERS_EVEN_16(a, b)                                                                \
    (lanes16)(a.s0, a.s1, a.s2, a.s3, a.s8, a.s9, a.sa, a.sb,                                 \
              b.s0, b.s1, b.s2, b.s3, b.s8, b.s9, b.sa, b.sb)
#define QUARTERS_ODD_16(a, b)                                                                 \
    (lanes16)(a.s4, a.s5, a.s6, a.s7, a.sc, a.sd, a.se, a.sf,                                 \
              b.s4, b.s5, b.s6, b.s7, b.sc, b.sd, b.se, b.sf)

// The same of 16 x 16 numbers.
inline void transpose_16(lanes16 *row)
{
    #pragma unroll
    for (int i = 0; i < 16; i += 4) {
        const lanes16 low_01 = SINGLES_LOW_16(row[i], row[i + 1]), high_01 = SINGLES_HIGH_16(row[i], row[i + 1]);
        const lanes16 low_23 = SINGLES_LOW_16(row[i + 2], row[i + 3]), high_23 = SINGLES_HIGH_16(row[i + 2], row[i + 3]);
        row[i] = PAIRS_LOW_16(low_01, low_23);
        row[i + 1] = PAIRS_HIGH_16(low_01, low_23);
        row[i + 2] = PAIRS_LOW_16(high_01, high_23);
        row[i + 3] = PAIRS_HIGH_16(high_01, high_23);
    }
    // Now each quarter is four rows of one column.
    #pragma unroll
    for (int i = 0; i < 4; i++) {
        const lanes16 even_01 = QUARTERS_EVEN_16(row[i], row[i + 4]), odd_01 = QUARTERS_ODD_16(row[i], row[i + 4]);
        const lanes16 even_23 = QUARTERS_EVEN_16(row[i + 8], row[i + 12]);
        const lanes16 odd_23 = QUARTERS_ODD_16(row[i + 8], row[i + 12]);
        row[i] = QUARTERS_EVEN_16(even_01, even_23);
        row[i + 4] = QUARTERS_EVEN_16(odd_01, odd_23);
        row[i + 8] = QUARTERS_ODD_16(even_01, even_23);
        row[i + 12] = QUARTERS_ODD_16(odd_01, odd_23);
    }
}
