/* sort: what its kernels of both kinds of device share.
 * A key is unsigned and sorts as what it stands for (KEYS):
 *   KEYS_READY    as it is, beside the place where it was
 *   KEYS_U32      as it is
 *   KEYS_I32      the sign turned round
 *   KEYS_F32      those below 0 mirrored; -0 is 0; NaN behind all
 *   KEYS_FALLING  the complement of KEYS_F32; NaN is -infinity
 *   KEYS_IDS      itself when 0 <= id < limit and id is not `skip`, else limit
 */

#define BELOW_0  0x80000000u
#define INFINITE 0x7f800000u

#ifdef KEYS
inline uint key_of(uint bits, uint limit, int skip)
{
#if KEYS == KEYS_I32
    return bits ^ BELOW_0;
#elif KEYS == KEYS_F32 || KEYS == KEYS_FALLING
    uint key = (bits & BELOW_0) != 0 ? ~bits : bits | BELOW_0;
    if ((bits & ~BELOW_0) == 0) key = BELOW_0;
#if KEYS == KEYS_F32
    return (bits & ~BELOW_0) > INFINITE ? ~0u : key;
#else
    return (bits & ~BELOW_0) > INFINITE ? BELOW_0 | INFINITE : ~key;
#endif
#elif KEYS == KEYS_IDS
    return bits < limit && (int)bits != skip ? bits : limit;
#else
    return bits;
#endif
}

/* What is given for a value: of keys that fall, -infinity for a NaN. */
inline uint value_of(uint bits)
{
#if KEYS == KEYS_FALLING
    return (bits & ~BELOW_0) > INFINITE ? BELOW_0 | INFINITE : bits;
#else
    return bits;
#endif
}
#endif
