/* One of the ten rounds of Philox 4x32. In scalars and with a 64-bit product in place of mul_hi, CPU compilers run it
   for many blocks at once; with a uint4 and mul_hi they do not, which took ten times as long. */
#define ROUND                                                                      \
    {                                                                              \
        const ulong product0 = (ulong)0xD2511F53u * c0, product1 = (ulong)0xCD9E8D57u * c2; \
        c0 = (uint)(product1 >> 32) ^ c1 ^ k0;                                     \
        c1 = (uint)product1;                                                       \
        c2 = (uint)(product0 >> 32) ^ c3 ^ k1;                                     \
        c3 = (uint)product0;                                                       \
        k0 += 0x9E3779B9u;                                                         \
        k1 += 0xBB67AE85u;                                                         \
    }
