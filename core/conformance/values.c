/* values: numbers of test cases, from a seed, and their bytes in every type. */
#include "core/conformance/values.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/number.h"

#include "core/base/philox.h"

/* A stream of Philox words, and where in the array the next value goes. */
typedef struct source {
    uint32_t key[2], block, which, words[4], used;
    const m3_notation *array;
    double argument; /* behind the word */
    uint64_t index;
    uint64_t valid; /* mask: of the row at hand */
} source;

static uint32_t next_word(source *s)
{
    if (s->used == 4) {
        const uint32_t counter[4] = {s->block++, s->which, 0, 0};
        m3_philox4x32_10(counter, s->key, s->words);
        s->used = 0;
    }
    return s->words[s->used++];
}

/* [0, 1). */
static double uniform(source *s)
{
    return (double)next_word(s) * 0x1p-32;
}

/* min .. max. */
static double whole(source *s, double min, double max)
{
    return min + floor(uniform(s) * (max - min + 1.0));
}

static double normal(source *s)
{
    double u = uniform(s), v = uniform(s);
    return sqrt(-2.0 * log(1.0 - u)) * cos(6.283185307179586 * v);
}

static double positive(source *s)
{
    return fabs(normal(s)) + 0.1;
}

static double wide(source *s)
{
    return 30.0 * normal(s);
}

static double nonfinite(source *s)
{
    static const double odd[] = {NAN, INFINITY, -INFINITY, 0.0, -0.0, 1.0, -1.0};
    enum { ODD = sizeof odd / sizeof odd[0] };
    uint32_t pick = next_word(s) % (2 * ODD);
    return pick < ODD ? odd[pick] : normal(s);
}

static double special(source *s)
{
    static const double odd[] = {1e-40, -1e-40, 1e30, -1e30};
    enum { ODD = sizeof odd / sizeof odd[0] };
    uint32_t pick = next_word(s) % (4 * ODD);
    return pick < ODD ? odd[pick] : nonfinite(s);
}

static double ties(source *s)
{
    return whole(s, -2, 2);
}

static double same(source *s)
{
    return s->argument;
}

static double small(source *s)
{
    return whole(s, -5, 5);
}

static double bits(source *s)
{
    uint32_t word = next_word(s);
    switch (s->array->dtype) {
    case M3_I32: return (double)(int32_t)word;
    case M3_U8: return (double)(word & 255u);
    default: return (double)word;
    }
}

/* 2^24 to 2^31, in the middle between two numbers of bf16 (8 bits) or f32 (24), or one beside it: who rounds twice, to
 * f32 and then to bf16, takes what lies beside the middle for the middle. */
static double halfway(source *s)
{
    const int exponent = 24 + (int)(next_word(s) % 7), kept = (next_word(s) & 1U) != 0 ? 8 : 24;
    const double step = ldexp(1.0, exponent - kept + 1);
    const double below = ldexp(1.0, exponent) + step * whole(s, 0, ldexp(1.0, kept - 1) - 1.0);
    return below + 0.5 * step + whole(s, -1, 1);
}

/* Around 2^24, where f32 loses whole numbers, between two floats, and both ends; bits otherwise. */
static double edges(source *s)
{
    static const double odd[] = {16777215, 16777216,   16777217,   16777218, 16777219,
                                 33554433, 2147483646, 2147483647, 0,        1};
    enum { ODD = sizeof odd / sizeof odd[0], HALVES = 4 };
    const bool is_signed = s->array->dtype == M3_I32;
    uint32_t pick = next_word(s) % (ODD + 3 + HALVES);
    bool negative = (next_word(s) & 1u) != 0;
    if (pick == ODD) return is_signed ? -2147483648.0 : 4294967295.0;
    if (pick == ODD + 1) return is_signed ? -2147483647.0 : 4294967294.0;
    if (pick == ODD + 2) return bits(s);
    if (pick > ODD + 2) return negative && is_signed ? -halfway(s) : halfway(s);
    return negative && is_signed ? -odd[pick] : negative && !is_signed ? 4294967295.0 - odd[pick] : odd[pick];
}

/* Normal, but about every thirtieth is the argument: one, in any case, of those that are enough. */
static double rare(source *s)
{
    uint32_t word = next_word(s);
    if (s->index == 0) s->valid = word % m3_shape_count(&s->array->shape);
    double other = normal(s);
    return word % 30 == 0 || s->index == s->valid ? s->argument : other;
}

static double mean(source *s)
{
    return s->argument + normal(s);
}

/* Normal, but the last of a row is the argument, so that who loses it in a long sum is far off. */
static double tail(source *s)
{
    const m3_shape *shape = &s->array->shape;
    const uint64_t length = shape->rank == 0 ? 1 : shape->dim[shape->rank - 1];
    const double other = normal(s);
    return s->index % length == length - 1 ? s->argument : other;
}

/* The last 2 x 16 of N and what lies behind it. */
static double last(source *s)
{
    return s->argument - 32.0 + (double)(s->index % 33);
}

static double ids(source *s)
{
    return whole(s, -2, s->argument + 1);
}

/* Every fifth names nothing; the others count up from a random start, around N. */
static double distinct(source *s)
{
    uint64_t count = (uint64_t)s->argument;
    if (s->index == 0) s->valid = next_word(s);
    return s->index % 5 == 4 || s->index >= count ? -1.0 : (double)((s->valid + s->index) % count);
}

static double choice(source *s)
{
    return (double)(next_word(s) & 1u);
}

static double mask(source *s)
{
    const m3_shape *shape = &s->array->shape;
    uint64_t length = shape->rank == 0 ? 1 : shape->dim[shape->rank - 1], place = s->index % length;
    if (place == 0) s->valid = (uint64_t)whole(s, 0, (double)length);
    return place >= length - s->valid ? 1.0 : 0.0;
}

static double yes(source *s)
{
    (void)s;
    return 1.0;
}

static double no(source *s)
{
    (void)s;
    return 0.0;
}

static double step(source *s)
{
    static const double at[3] = {0.01, 0.271, 0.002997}; /* rate; 1 - beta^3 for 0.9 and 0.999 */
    return at[s->index % 3];
}

static double scale(source *s)
{
    return strcmp(s->array->words, "scale") == 0 ? 0.75 : s->argument;
}

static const struct fill {
    const char *word;
    double (*next)(source *s);
} fills[] = {{"normal", normal},     {"positive", positive}, {"wide", wide},     {"nonfinite", nonfinite},
             {"special", special},   {"ties", ties},         {"value", same},    {"small", small},
             {"bits", bits},         {"ids", ids},           {"random", choice}, {"mask", mask},
             {"distinct", distinct}, {"true", yes},          {"false", no},      {"step", step},
             {"scale", scale},       {"edges", edges},       {"rare", rare},     {"mean", mean},
             {"last", last},         {"tail", tail}};

static const char *default_word(m3_dtype dtype)
{
    switch (dtype) {
    case M3_I32: return "small";
    case M3_U32:
    case M3_U8: return "bits";
    case M3_BOOL: return "random";
    case M3_F32:
    case M3_F16:
    case M3_BF16:
    case M3_F64: break;
    }
    return "normal";
}

static bool has_word(const char *words, const char *word)
{
    size_t length = strlen(word);
    return strncmp(words, word, length) == 0 && (words[length] == 0 || words[length] == ' ');
}

bool m3_values_keep_type(const m3_notation *array)
{
    return has_word(array->words, "step") || has_word(array->words, "scale");
}

m3_status m3_values_fill(const m3_notation *array, uint64_t seed, uint32_t which, double *value, m3_error *err)
{
    const char *words = array->words[0] != 0 ? array->words : default_word(array->dtype);
    const struct fill *fill = NULL;
    for (size_t i = 0; i < sizeof fills / sizeof fills[0]; i++)
        if (has_word(words, fills[i].word)) fill = &fills[i];
    if (fill == NULL)
        return M3_FAIL(err, M3_ERR_INVALID, words, "no filling has this name; see values.h for the names");
    source s = {.key = {(uint32_t)seed, (uint32_t)(seed >> 32)}, .which = which, .used = 4, .array = array};
    s.argument = m3_number_read(words + strlen(fill->word), NULL);
    uint64_t count = m3_shape_count(&array->shape);
    for (; s.index < count; s.index++) {
        double x = fill->next(&s);
        double element; /* aligned for every type */
        if (array->dtype == M3_BOOL && x != 0.0 && x != 1.0)
            return M3_FAIL(err, M3_ERR_INVALID, words, "gives a bool %g, which is neither 0 nor 1; give random or mask",
                           x);
        m3_values_encode(array->dtype, &x, 1, &element);
        m3_values_decode(array->dtype, &element, 1, &value[s.index]);
    }
    return M3_OK;
}

/* Half precision by hand: not every compiler has a type for it. Rounds to nearest, ties to even. */
static uint16_t to_f16(double x)
{
    uint16_t sign = signbit(x) ? 0x8000u : 0u;
    if (isnan(x)) return (uint16_t)(sign | 0x7e00u);
    double a = fabs(x);
    if (a >= 65520.0) return (uint16_t)(sign | 0x7c00u);
    if (a < 0x1p-14) return (uint16_t)(sign | (uint16_t)nearbyint(a * 0x1p24)); /* 0x400 is the least normal */
    int exponent;
    double fraction = frexp(a, &exponent); /* [0.5, 1) */
    uint32_t steps = (uint32_t)nearbyint(fraction * 2048.0);
    return (uint16_t)(sign | (((uint32_t)(exponent + 13) << 10) + steps));
}

static double from_f16(uint16_t half)
{
    int exponent = half >> 10 & 31, fraction = half & 1023;
    double a = exponent == 0 ? ldexp(fraction, -24) : ldexp(1024 + fraction, exponent - 25);
    if (exponent == 31) a = fraction != 0 ? NAN : INFINITY;
    return (half & 0x8000u) != 0 ? -a : a;
}

static uint16_t to_bf16(double x)
{
    float f = (float)x;
    uint32_t word;
    memcpy(&word, &f, sizeof word);
    if (isnan(x)) return (uint16_t)(word >> 16 | 0x40u);
    return (uint16_t)((word + 0x7fffu + (word >> 16 & 1u)) >> 16);
}

static double from_bf16(uint16_t half)
{
    uint32_t word = (uint32_t)half << 16;
    float f;
    memcpy(&f, &word, sizeof f);
    return (double)f;
}

void m3_values_encode(m3_dtype dtype, const double *value, uint64_t count, void *bytes)
{
    for (uint64_t i = 0; i < count; i++) {
        double x = value[i];
        switch (dtype) {
        case M3_F32: ((float *)bytes)[i] = (float)x; break;
        case M3_I32: ((int32_t *)bytes)[i] = (int32_t)(int64_t)x; break;
        case M3_U32: ((uint32_t *)bytes)[i] = (uint32_t)(int64_t)x; break;
        case M3_U8:
        case M3_BOOL: ((uint8_t *)bytes)[i] = (uint8_t)(int64_t)x; break;
        case M3_F16: ((uint16_t *)bytes)[i] = to_f16(x); break;
        case M3_BF16: ((uint16_t *)bytes)[i] = to_bf16(x); break;
        case M3_F64: ((double *)bytes)[i] = x; break;
        }
    }
}

void m3_values_decode(m3_dtype dtype, const void *bytes, uint64_t count, double *value)
{
    for (uint64_t i = 0; i < count; i++) {
        switch (dtype) {
        case M3_F32: value[i] = (double)((const float *)bytes)[i]; break;
        case M3_I32: value[i] = ((const int32_t *)bytes)[i]; break;
        case M3_U32: value[i] = ((const uint32_t *)bytes)[i]; break;
        case M3_U8:
        case M3_BOOL: value[i] = ((const uint8_t *)bytes)[i]; break;
        case M3_F16: value[i] = from_f16(((const uint16_t *)bytes)[i]); break;
        case M3_BF16: value[i] = from_bf16(((const uint16_t *)bytes)[i]); break;
        case M3_F64: value[i] = ((const double *)bytes)[i]; break;
        }
    }
}
