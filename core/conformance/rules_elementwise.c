/* rules_elementwise: cases of the ops that work element by element, broadcasting as NumPy does. */
#include <string.h>

#include "core/conformance/rules.h"

/* FLT_MIN everywhere: a device may take denormal results for 0. */
static const m3_bound exact = {0, 0, 0, "moves, chooses or compares: every bit counts"};
static const m3_bound rounding = {1.2e-38, 4e-7, 0, "one rounding; a division within 3 units in the last place"};
static const m3_bound function = {1.2e-38, 2e-6, 0, "an elementary function within about 16 units in the last place"};
static const m3_bound gated = {1.3e-36, 2e-6, 0,
                               "a denormal sigmoid, times up to 104, may be 0; else an elementary function"};
static const m3_bound product = {1e-6, 3e-6, 0,
                                 "x times a function that cancels far from 0, so the error is absolute there"};
static const m3_bound wave = {2e-6, 2e-6, 0, "the argument is reduced by pi, so the error is absolute near a zero"};
static const m3_bound power = {1.2e-38, 2e-5, 0, "e^(y ln x): an exponent of up to 88, rounded, and 88 / 2^22 = 2e-5"};
static const m3_bound half = {0, 0, 0, "rounds to nearest, ties to even: there is one right answer"};

#define TYPES(dtype)                                                                                                   \
    (dtype) = M3_F32;                                                                                                  \
    (dtype) <= M3_BF16;                                                                                                \
    (dtype) = (m3_dtype)((dtype) + 1)

/* The last axes of the extents of rank 6. */
static m3_shape tail(uint32_t rank)
{
    const m3_shape all = m3_make_extents(M3_MAX_RANK);
    return m3_shape_of(rank, all.dim + (M3_MAX_RANK - rank));
}

/* One operand of a type: its words keep an f32 within the domain. */
static const char *one(m3_case_maker *m, m3_dtype dtype, const char *shape)
{
    const bool fill = m->of->fill != NULL && dtype == M3_F32;
    return m3_make_text(m, "%s%s%s", m3_dtype_name(dtype), shape, fill ? m->of->fill : "");
}

/* As many operands as the op has, each of a shape; the condition of a selection is bool. The words of the domain are
 * the last one's. */
static const char *operands(m3_case_maker *m, m3_dtype dtype, const char *x, const char *y)
{
    const char *type = m3_dtype_name(dtype), *last = one(m, dtype, y);
    if (m->op->min_inputs == 1) return one(m, dtype, x);
    if (m->op->min_inputs == 3) /* the words are not for bools */
        return m3_make_text(m, "bool%.*s; %s%s; %s", (int)strcspn(x, " "), x, type, x, last);
    const bool fill = m->of->fill_first != NULL && dtype == M3_F32;
    return m3_make_text(m, "%s%s%s; %s", type, x, fill ? m->of->fill_first : "", last);
}

static void make_sizes(m3_case_maker *m, const char *attrs, m3_dtype first)
{
    m3_dtype dtype;
    m3_make_rule(m, M3_RULE_SIZE);
    for (TYPES(dtype)) {
        if (!m3_make_admits(m, dtype)) continue;
        m->full = dtype != first;
        for (uint32_t i = 0; i < m3_make_size_count; i++) {
            const uint32_t n = m3_make_sizes[i];
            const char *line = m3_make_text(m, "[%u]", n), *rows = m3_make_text(m, "[3,%u]", n);
            const char *columns = m3_make_text(m, "[%u,3]", n);
            m3_make(m, attrs, operands(m, dtype, line, line));
            m3_make(m, attrs, operands(m, dtype, rows, rows));
            if (m->op->min_inputs == 1) continue;
            m3_make(m, attrs, operands(m, dtype, rows, line));
            m3_make(m, attrs, operands(m, dtype, columns, m3_make_text(m, "[%u,1]", n)));
            if (!m->full) continue;
            m3_make(m, attrs, operands(m, dtype, line, rows));
            m3_make(m, attrs, operands(m, dtype, columns, columns));
        }
    }
    m3_make_rule(m, M3_RULE_LARGE);
    for (TYPES(dtype)) {
        if (!m3_make_admits(m, dtype)) continue;
        m->full = dtype != first;
        m3_make(m, attrs, operands(m, dtype, "[1025]", "[1025]"));
        m3_make(m, attrs, operands(m, dtype, "[65537]", "[65537]"));
        m3_make(m, attrs, operands(m, dtype, "[257,257]", m->op->min_inputs == 1 ? "" : "[257,1]"));
        m->full = true;
        m3_make(m, attrs, operands(m, dtype, "[1048577]", "[1048577]"));
        if (m->op->min_inputs > 1) m3_make(m, attrs, operands(m, dtype, "[1025,1025]", "[1025]"));
    }
}

static void make_special(m3_case_maker *m, const char *attrs)
{
    static const char *const halves[] = {" rare nan", " rare inf", " rare -inf", " rare -0", " nonfinite"};
    m3_make_rule(m, M3_RULE_SPECIAL);
    for (uint32_t i = 0; i < m3_make_special_count && m3_make_admits(m, M3_F32); i++) {
        const char *x = m3_make_text(m, "f32[257]%s", m3_make_special[i]);
        if (m->op->min_inputs == 1) m3_make(m, attrs, x);
        if (m->op->min_inputs == 3) m3_make(m, attrs, m3_make_text(m, "bool[257]; %s; f32[257]", x));
        if (m->op->min_inputs == 3) m3_make(m, attrs, m3_make_text(m, "bool[257]; f32[257]; %s", x));
        if (m->op->min_inputs != 2) continue;
        m3_make(m, attrs, m3_make_text(m, "%s; f32[257]", x));
        m3_make(m, attrs, m3_make_text(m, "f32[257]; %s", x));
        m3_make(m, attrs, m3_make_text(m, "%s; %s", x, x));
        m3_make(m, attrs, m3_make_text(m, "f32[257] nonfinite; %s", x));
    }
    for (uint32_t i = 0; i < sizeof halves / sizeof halves[0] && m->op->min_inputs == 1; i++) {
        if (m3_make_admits(m, M3_F16)) m3_make(m, attrs, m3_make_text(m, "f16[257]%s", halves[i]));
        if (m3_make_admits(m, M3_BF16)) m3_make(m, attrs, m3_make_text(m, "bf16[257]%s", halves[i]));
    }
    m3_make_rule(m, M3_RULE_INTEGERS);
    for (m3_dtype dtype = M3_I32; dtype <= M3_U32; dtype = (m3_dtype)(dtype + 1)) {
        if (!m3_make_admits(m, dtype)) continue;
        m3_make(m, attrs, operands(m, dtype, "[1025] edges", "[1025] edges"));
        m3_make(m, attrs, operands(m, dtype, "[257] bits", "[257] bits"));
        if (m->op->min_inputs > 1) m3_make(m, attrs, operands(m, dtype, "[65,33] edges", "[33] edges"));
        if (m->op->min_inputs > 1) m3_make(m, attrs, operands(m, dtype, "[129] bits", "[129] edges"));
    }
}

static void make_types(m3_case_maker *m, const char *attrs)
{
    m3_dtype dtype;
    m3_make_rule(m, M3_RULE_DTYPE);
    for (TYPES(dtype)) {
        if (!m3_make_admits(m, dtype)) continue;
        m3_make(m, attrs, operands(m, dtype, "[33]", "[33]"));
        m3_make(m, attrs, operands(m, dtype, "[3,5]", m->op->min_inputs == 1 ? "" : "[5]"));
        if (m->op->min_inputs == 1) continue;
        const char *type = m3_dtype_name(dtype);
        m3_make(m, attrs, operands(m, dtype, "[33]", "[]"));
        m3_make(m, attrs, operands(m, dtype, "[]", "[33]"));
        if (m->op->min_inputs == 2) continue;
        m3_make(m, attrs, m3_make_text(m, "bool[33]; %s[]; %s[33]", type, type));
        m3_make(m, attrs, m3_make_text(m, "bool[33]; %s[]; %s[]", type, type));
    }
}

static void make_unary(m3_case_maker *m, const m3_op_rules *of)
{
    const m3_dtype first = m3_make_first(m);
    (void)of;
    m3_make_rule_gradients(m, M3_RULE_RANK);
    for (uint32_t rank = 0; rank <= M3_MAX_RANK; rank++)
        m3_make(m, "", one(m, first, m3_make_shape(m, m3_make_extents(rank))));
    make_types(m, "");
    make_sizes(m, "", first);
    make_special(m, "");
}

/* Attribute: the type of the result, as m3_dtype numbers it. */
static void make_cast(m3_case_maker *m, const m3_op_rules *of)
{
    m3_dtype to, from;
    (void)of;
    for (TYPES(to)) {
        const char *attrs = m3_make_text(m, "%d", (int)to);
        m3_make_rule(m, M3_RULE_RANK);
        for (uint32_t rank = 0; rank <= M3_MAX_RANK; rank++)
            m3_make(m, attrs, one(m, M3_F32, m3_make_shape(m, m3_make_extents(rank))));
        m3_make_rule(m, M3_RULE_ATTRIBUTE);
        for (TYPES(from))
            m3_make(m, attrs, m3_make_text(m, "%s[129]%s", m3_dtype_name(from), from == M3_F32 ? " wide" : ""));
        make_types(m, attrs);
        make_sizes(m, attrs, to == M3_I32 ? M3_F32 : M3_F64);
        make_special(m, attrs);
    }
}

/* Axes along which the first operand repeats, the second, or each in turn. */
static void make_repeats(m3_case_maker *m, m3_dtype dtype)
{
    m3_make_rule_gradients(m, M3_RULE_AXIS);
    for (uint32_t rank = 1; rank <= M3_MAX_RANK; rank++) {
        const m3_shape all = m3_make_extents(rank);
        for (uint32_t axis = 0; axis < rank; axis++) {
            m3_shape some = all;
            some.dim[axis] = 1;
            m3_make(m, "", operands(m, dtype, m3_make_shape(m, some), m3_make_shape(m, all)));
            m3_make(m, "", operands(m, dtype, m3_make_shape(m, all), m3_make_shape(m, some)));
        }
        m3_shape even = all, odd = all;
        for (uint32_t axis = 0; axis < rank; axis++) *(axis % 2 == 0 ? &even.dim[axis] : &odd.dim[axis]) = 1;
        m3_make(m, "", operands(m, dtype, m3_make_shape(m, even), m3_make_shape(m, odd)));
        m3_make(m, "", operands(m, dtype, m3_make_shape(m, odd), m3_make_shape(m, even)));
    }
}

static void make_many(m3_case_maker *m, const m3_op_rules *of)
{
    const m3_dtype first = m3_make_first(m);
    (void)of;
    m3_make_rule_gradients(m, M3_RULE_RANK);
    for (uint32_t x = 0; x <= M3_MAX_RANK; x++)
        for (uint32_t y = 0; y <= M3_MAX_RANK; y++)
            m3_make(m, "", operands(m, first, m3_make_shape(m, tail(x)), m3_make_shape(m, tail(y))));
    make_repeats(m, first);
    m3_make_rule_gradients(m, M3_RULE_SQUARE);
    static const char *const squares[][2] = {{"[7,7]", "[7,7]"},     {"[7,7]", "[7]"},       {"[7]", "[7,7]"},
                                             {"[7,7]", "[7,1]"},     {"[7,1]", "[7,7]"},     {"[7]", "[7,1]"},
                                             {"[7,1]", "[1,7]"},     {"[5,5,5]", "[5,1,5]"}, {"[1,5,5]", "[5,5,1]"},
                                             {"[4,4,4,4]", "[4,4]"}, {"[5,5,1]", "[5,5]"},   {"[17,17]", "[17,17]"}};
    for (size_t i = 0; i < sizeof squares / sizeof squares[0]; i++)
        m3_make(m, "", operands(m, first, squares[i][0], squares[i][1]));
    if (m->op->min_inputs == 3) {
        m3_make(m, "", "bool[7,1]; f32[7]; f32[7,7]");
        m3_make(m, "", "bool[7]; f32[7,7]; f32[7,1]");
        m3_make(m, "", "bool[7,7]; f32[7,1]; f32[7]");
    }
    make_types(m, "");
    make_sizes(m, "", first);
    make_special(m, "");
}

/* Two operands of one shape, without broadcast. */
static void make_pair(m3_case_maker *m, const m3_op_rules *of)
{
    static const char *const shapes[] = {"[7,7]", "[17,17]", "[5,5,5]"};
    (void)of;
    m3_make_rule_gradients(m, M3_RULE_RANK);
    for (uint32_t rank = 0; rank <= M3_MAX_RANK; rank++) {
        const char *shape = m3_make_shape(m, m3_make_extents(rank));
        m3_make(m, "", operands(m, M3_F32, shape, shape));
    }
    m3_make_rule_gradients(m, M3_RULE_SQUARE);
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        m3_make(m, "", operands(m, M3_F32, shapes[i], shapes[i]));
    m3_make_rule(m, M3_RULE_DTYPE);
    m3_make(m, "", operands(m, M3_F32, "[33]", "[33]"));
    m3_make_rule(m, M3_RULE_SIZE);
    for (uint32_t i = 0; i < m3_make_size_count; i++) {
        const char *line = m3_make_text(m, "[%u]", m3_make_sizes[i]),
                   *rows = m3_make_text(m, "[3,%u]", m3_make_sizes[i]);
        m3_make(m, "", operands(m, M3_F32, line, line));
        m3_make(m, "", operands(m, M3_F32, rows, rows));
    }
    m3_make_rule(m, M3_RULE_LARGE);
    m3_make(m, "", operands(m, M3_F32, "[1025]", "[1025]"));
    m3_make(m, "", operands(m, M3_F32, "[65537]", "[65537]"));
    m->full = true;
    m3_make(m, "", operands(m, M3_F32, "[1048577]", "[1048577]"));
    make_special(m, "");
}

#define NO_AXIS   "elements stand alone, and the one operand repeats along no axis"
#define NO_SQUARE "it has one operand, whose axes all mean the same"
#define NO_WHOLE  "it takes no integers"
#define NO_FLOAT  "it takes bools alone"
#define UNARY                                                                                                          \
    {                                                                                                                  \
        [M3_RULE_AXIS] = NO_AXIS, [M3_RULE_SQUARE] = NO_SQUARE                                                         \
    }
#define UNARY_F                                                                                                        \
    {                                                                                                                  \
        [M3_RULE_AXIS] = NO_AXIS, [M3_RULE_SQUARE] = NO_SQUARE, [M3_RULE_INTEGERS] = NO_WHOLE                          \
    }
#define BOOLS [M3_RULE_INTEGERS] = NO_WHOLE, [M3_RULE_SPECIAL] = NO_FLOAT

/* clang-format off */
const m3_op_rules m3_rules_elementwise[] = {
    {.op = "neg", .make = make_unary, .bound = &exact, .probe = "?[1]", .keeps_zeros = true, .never = UNARY},
    {.op = "abs", .make = make_unary, .bound = &exact, .probe = "?[1]", .keeps_zeros = true, .never = UNARY},
    {.op = "exp", .make = make_unary, .bound = &function, .probe = "?[1]", .never = UNARY_F},
    {.op = "log", .make = make_unary, .bound = &function, .probe = "?[1]", .fill = " positive", .never = UNARY_F},
    {.op = "sqrt", .make = make_unary, .bound = &function, .probe = "?[1]", .fill = " positive", .keeps_zeros = true,
     .never = UNARY_F},
    {.op = "sin", .make = make_unary, .bound = &wave, .probe = "?[1]", .never = UNARY_F},
    {.op = "cos", .make = make_unary, .bound = &wave, .probe = "?[1]", .never = UNARY_F},
    {.op = "tanh", .make = make_unary, .bound = &function, .probe = "?[1]", .never = UNARY_F},
    {.op = "sigmoid", .make = make_unary, .bound = &function, .probe = "?[1]", .never = UNARY_F},
    {.op = "expm1", .make = make_unary, .bound = &function, .probe = "?[1]", .never = UNARY_F},
    {.op = "log1p", .make = make_unary, .bound = &function, .probe = "?[1]", .fill = " positive", .never = UNARY_F},
    {.op = "erf", .make = make_unary, .bound = &function, .probe = "?[1]", .never = UNARY_F},
    {.op = "softplus", .make = make_unary, .bound = &function, .probe = "?[1]", .room = M3_ROOM_SHAKEN,
     .never = UNARY_F},
    {.op = "gelu", .make = make_unary, .bound = &product, .probe = "?[1]", .room = M3_ROOM_SHAKEN, .never = UNARY_F},
    {.op = "floor", .make = make_unary, .bound = &exact, .probe = "?[1]", .keeps_zeros = true, .never = UNARY_F},
    {.op = "not", .make = make_unary, .bound = &exact, .probe = "?[1]",
     .never = {[M3_RULE_AXIS] = NO_AXIS, [M3_RULE_SQUARE] = NO_SQUARE, BOOLS}},
    {.op = "relu", .make = make_unary, .bound = &exact, .probe = "?[1]", .never = UNARY_F},
    {.op = "silu", .make = make_unary, .bound = &gated, .probe = "?[1]", .room = M3_ROOM_SHAKEN, .never = UNARY_F},
    {.op = "copy", .make = make_unary, .bound = &exact, .probe = "?[1]", .keeps_zeros = true, .keeps_bits = true,
     .never = UNARY},
    {.op = "detach", .make = make_unary, .bound = &exact, .probe = "?[1]", .keeps_zeros = true, .keeps_bits = true,
     .kinks = true, .never = UNARY},
    {.op = "cast", .make = make_cast, .bound = &half, .probe = "?[1]", .probe_attrs = "0", .keeps_zeros = true,
     .never = UNARY},
    {.op = "add", .make = make_many, .bound = &rounding, .probe = "?[1]; ?[1]", .keeps_zeros = true},
    {.op = "sub", .make = make_many, .bound = &rounding, .probe = "?[1]; ?[1]", .keeps_zeros = true},
    {.op = "mul", .make = make_many, .bound = &rounding, .probe = "?[1]; ?[1]", .keeps_zeros = true},
    {.op = "div", .make = make_many, .bound = &rounding, .probe = "?[1]; ?[1]", .fill = " positive",
     .keeps_zeros = true},
    {.op = "pow", .make = make_many, .bound = &power, .probe = "?[1]; ?[1]", .fill_first = " positive",
     .never = {[M3_RULE_INTEGERS] = NO_WHOLE}},
    {.op = "max", .make = make_many, .bound = &exact, .probe = "?[1]; ?[1]"},
    {.op = "min", .make = make_many, .bound = &exact, .probe = "?[1]; ?[1]"},
    {.op = "equal", .make = make_many, .bound = &exact, .probe = "?[1]; ?[1]"},
    {.op = "less", .make = make_many, .bound = &exact, .probe = "?[1]; ?[1]"},
    {.op = "less_equal", .make = make_many, .bound = &exact, .probe = "?[1]; ?[1]"},
    {.op = "and", .make = make_many, .bound = &exact, .probe = "?[1]; ?[1]", .never = {BOOLS}},
    {.op = "or", .make = make_many, .bound = &exact, .probe = "?[1]; ?[1]", .never = {BOOLS}},
    {.op = "where", .make = make_many, .bound = &exact, .probe = "bool[1]; ?[1]; ?[1]", .keeps_zeros = true,
     .keeps_bits = true},
    {.op = "relu_grad", .make = make_pair, .bound = &exact, .probe = "?[1]; ?[1]", .keeps_zeros = true,
     .never = {[M3_RULE_AXIS] = "both operands have one shape", [M3_RULE_INTEGERS] = NO_WHOLE}},
    {0},
};
/* clang-format on */
