/* reduce: what its kernels of both kinds of device share: the type and how two elements become one. */

enum { BLOCK = 128 };

#if KIND == REDUCE_SUM_F32
#define TYPE       float
#define START      0.0f
#define JOIN(a, b) ((a) + (b))
#elif KIND == REDUCE_MAX_F32
#define TYPE       float
#define START      (-INFINITY)
#define JOIN(a, b) select(b, a, ((a) >= (b)) | isnan(a))
#elif KIND == REDUCE_SUM_I32
#define TYPE       uint
#define START      0u
#define JOIN(a, b) ((a) + (b))
#else
#define TYPE       int
#define START      INT_MIN
#define JOIN(a, b) max(a, b)
#endif

#define TYPE_value TYPE
