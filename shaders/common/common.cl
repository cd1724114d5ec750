/* common: what stands before every source of this folder and its contract. Floor: OpenCL C 1.2. Constants come by -D.
 *
 * KERNEL(entry) { OPEN_BUFFERS(entry) ... } is a kernel with the parameters of the contract, buffers and then words. A
 * buffer comes as a pointer and bytes into it, which OPEN_BUFFERS adds. */
#define KERNEL(entry) kernel void entry(PARAMETERS(entry))
#define PARAMETERS(entry) CONTRACT_##entry(NONE_2, PARAMETER_BUFFER, PARAMETER_WORD)
#define OPEN_BUFFERS(entry) CONTRACT_##entry(NONE_2, OPEN_BUFFER, NONE_2)

#define NONE_2(a, b)
#define PARAMETER_BUFFER(k, access, type, name)                                                                        \
    COMMA_##k global ACCESS_##access TYPE_##type *name, const ulong name##_at
#define PARAMETER_WORD(type, name)         , TYPE_##type name
#define OPEN_BUFFER(k, access, type, name) name = (global void *)((global uchar *)name + name##_at);
#define ACCESS_read const
#define ACCESS_write
#define ACCESS_update
#define TYPE_f32 float
#define TYPE_u32 uint
#define TYPE_i32 int
#define TYPE_u8  uchar
#define COMMA_0
#define COMMA_1 ,
#define COMMA_2 ,
#define COMMA_3 ,
#define COMMA_4 ,
#define COMMA_5 ,
#define COMMA_6 ,
#define COMMA_7 ,
#define COMMA_8 ,
#define COMMA_9 ,
#define COMMA_10 ,
#define COMMA_11 ,
#define COMMA_12 ,
#define COMMA_13 ,
#define COMMA_14 ,

/* Number of a work-item in a line of groups, and of its group. */
#define ITEM  ((uint)get_global_id(0) + (uint)get_global_size(0) * (uint)get_global_id(1))
#define GROUP ((uint)get_group_id(0) + (uint)get_num_groups(0) * (uint)get_group_id(1))

/* tanh that is 1 far out, and not just near it as a library's may be: gradients multiply 1 - tanh^2 by what may be
 * infinite. */
#define TANH(x) ((fabs(x) > 10.0f) ? sign(x) : tanh(x))

/* Rows that LANES items share: a group takes a row, or an item does when it is alone. */
#if defined(LANES) && LANES == 1
#define ROW  ITEM
#define LANE 0u
#else
#define ROW  GROUP
#define LANE ((uint)get_local_id(0))
#endif

/* A kernel that is always launched in groups of x times y items, or of LANES. A compiler that knows it divides the
 * registers among just so many; else it may make a kernel that takes fewer. */
#define KERNEL_OF(entry, x, y) kernel __attribute__((reqd_work_group_size(x, y, 1))) void entry(PARAMETERS(entry))
#if defined(LANES) && LANES > 1
#define GROUP_KERNEL(entry) KERNEL_OF(entry, LANES, 1)
#else
#define GROUP_KERNEL(entry) KERNEL(entry)
#endif

/* Elements that HALVES (contract/types.h) says the type of, as floats: VALUE x[i], VALUE_4 four from x on, and PUT. */
#if HALVES == DTYPE_F16
typedef half value_t;
#define VALUE(x, i)  vload_half(i, x)
#define VALUE_4(x)   vload_half4(0, x)
#define PUT(v, x, i) vstore_half_rte(v, i, x)
#elif HALVES == DTYPE_BF16
typedef ushort value_t;
inline ushort to_bf16(float v)
{
    const uint bits = as_uint(v);
    return (ushort)((bits & 0x7fffffffu) > 0x7f800000u ? 0x7fc0u : (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}
#define VALUE(x, i)  as_float((uint)(x)[i] << 16)
#define VALUE_4(x)   as_float4(convert_uint4(vload4(0, x)) << 16)
#define PUT(v, x, i) ((x)[i] = to_bf16(v))
#else
typedef float value_t;
#define VALUE(x, i)  (x)[i]
#define VALUE_4(x)   vload4(0, x)
#define PUT(v, x, i) ((x)[i] = (v))
#endif

/* VECTOR elements at once: real, ints, load and store. On a device that gains nothing from it VECTOR is 1. */
#ifdef VECTOR
#define GLUE_(a, b) a##b
#define GLUE(a, b)  GLUE_(a, b)
#if VECTOR == 1
typedef float real;
typedef int mask_t;
typedef uint word_t;
#define LOAD(x, i)     (x)[i]
#define STORE(v, x, i) (x)[i] = (v)
#define TO_REAL(v)     convert_float(v)
#else
typedef GLUE(float, VECTOR) real;
typedef GLUE(int, VECTOR) mask_t;
typedef GLUE(uint, VECTOR) word_t;
#define LOAD(x, i)     GLUE(vload, VECTOR)(0, (x) + (i))
#define STORE(v, x, i) GLUE(vstore, VECTOR)(v, 0, (x) + (i))
#define TO_REAL(v)     GLUE(convert_float, VECTOR)(v)
#endif
/* Up to VECTOR elements of which there are n; a load has 0 behind them. */
static inline real load_part(global const float *x, uint n)
{
    if (n >= VECTOR) return LOAD(x, 0);
    float part[VECTOR];
    for (uint i = 0; i < VECTOR; i++) part[i] = i < n ? x[i] : 0.0f;
    return LOAD(part, 0);
}

static inline void store_part(real v, global float *y, uint n)
{
    if (n >= VECTOR) {
        STORE(v, y, 0);
        return;
    }
    float part[VECTOR];
    STORE(v, part, 0);
    for (uint i = 0; i < n; i++) y[i] = part[i];
}

/* Sum of the elements, in a fixed order. */
static inline float sum_of(real v)
{
#if VECTOR == 16
    float8 a = v.lo + v.hi;
    float4 b = a.lo + a.hi;
    float2 c = b.lo + b.hi;
    return c.x + c.y;
#elif VECTOR == 8
    float4 b = v.lo + v.hi;
    float2 c = b.lo + b.hi;
    return c.x + c.y;
#elif VECTOR == 4
    float2 c = v.lo + v.hi;
    return c.x + c.y;
#else
    return v;
#endif
}
static inline float max_of(real v)
{
#if VECTOR == 16
    float8 a = fmax(v.lo, v.hi);
    float4 b = fmax(a.lo, a.hi);
    float2 c = fmax(b.lo, b.hi);
    return fmax(c.x, c.y);
#elif VECTOR == 8
    float4 b = fmax(v.lo, v.hi);
    float2 c = fmax(b.lo, b.hi);
    return fmax(c.x, c.y);
#elif VECTOR == 4
    float2 c = fmax(v.lo, v.hi);
    return fmax(c.x, c.y);
#else
    return v;
#endif
}
#endif

/* Philox4x32-10: words of block number `block` of a draw (MODEL.md's counter: block low, site, step, block high). */
static inline uint4 philox(ulong block, uint site, uint step, uint2 key)
{
    uint4 c = (uint4)((uint)block, site, step, (uint)(block >> 32));
    for (int round = 0; round < 10; round++) {
        const uint high0 = mul_hi(0xD2511F53u, c.x), low0 = 0xD2511F53u * c.x;
        const uint high1 = mul_hi(0xCD9E8D57u, c.z), low1 = 0xCD9E8D57u * c.z;
        c = (uint4)(high1 ^ c.y ^ key.x, low1, high0 ^ c.w ^ key.y, low0);
        key += (uint2)(0x9E3779B9u, 0xBB67AE85u);
    }
    return c;
}

/* Where block number `block` stands in a draw: of a part (PARTED) in that of the whole batch, (before parts + part) blocks
 * + rest, where `before` batches of `blocks` blocks stand before it (op philox_part). */
static inline ulong block_of(uint block, uint blocks, global const uint *rng)
{
#if defined(PARTED) && PARTED
    const uint before = block / blocks;
    return ((ulong)before * rng[4] + rng[3]) * blocks + (block - before * blocks);
#else
    return block;
#endif
}

#if defined(VECTOR) && VECTOR >= 4
/* Do VECTOR blocks from this one on follow each other in the draw, with one high word? */
static inline bool are_neighbors(uint block, uint blocks, global const uint *rng)
{
#if defined(PARTED) && PARTED
    return block % blocks + VECTOR <= blocks && (uint)block_of(block, blocks, rng) <= UINT_MAX - VECTOR;
#else
    return true;
#endif
}

/* The high words of products: pairs of words as 64 bits, since compilers take mul_hi of a vector apart. Whichever word
 * of a pair comes first, its product is back in its place. */
#define PAIRS_OF_4  ulong2
#define PAIRS_OF_8  ulong4
#define PAIRS_OF_16 ulong8
#define PAIRS       GLUE(PAIRS_OF_, VECTOR)
static inline word_t high_words(word_t x, uint by)
{
    const PAIRS pairs = GLUE(as_, PAIRS)(x), lower = (pairs & 0xffffffffu) * by, upper = (pairs >> 32) * by;
    return GLUE(as_uint, VECTOR)((lower >> 32) | (upper & 0xffffffff00000000ul));
}

/* The same for VECTOR neighbors from `block` on: lane i of c[w] is word w of the i-th. */
static inline void philox_wide(ulong block, uint site, uint step, uint2 key, word_t c[4])
{
    uint first[VECTOR];
    for (uint i = 0; i < VECTOR; i++) first[i] = (uint)block + i;
    c[0] = LOAD(first, 0);
    c[1] = site;
    c[2] = step;
    c[3] = (uint)(block >> 32);
    for (int round = 0; round < 10; round++) {
        const word_t high0 = high_words(c[0], 0xD2511F53u), low0 = 0xD2511F53u * c[0];
        const word_t high1 = high_words(c[2], 0xCD9E8D57u), low1 = 0xCD9E8D57u * c[2];
        c[0] = high1 ^ c[1] ^ key.x;
        c[2] = high0 ^ c[3] ^ key.y;
        c[1] = low1;
        c[3] = low0;
        key += (uint2)(0x9E3779B9u, 0xBB67AE85u);
    }
}

/* a0 b0 a1 b1 ... */
static inline void interleave(word_t a, word_t b, word_t *low, word_t *high)
{
    low->even = a.lo;
    low->odd = b.lo;
    high->even = a.hi;
    high->odd = b.hi;
}

/* From a word a vector to the draw's elements one behind another. */
static inline void in_order(word_t c[4])
{
    word_t even[2], odd[2];
    interleave(c[0], c[2], &even[0], &even[1]);
    interleave(c[1], c[3], &odd[0], &odd[1]);
    interleave(even[0], odd[0], &c[0], &c[1]);
    interleave(even[1], odd[1], &c[2], &c[3]);
}
#endif
