/* rules_movement: cases of the ops that put elements elsewhere, and of those that make arrays from nothing. */
#include "core/conformance/rules.h"

#include "m3bsr/builder.h"

static const m3_bound exact = {0, 0, 0, "moves: every bit counts"};
static const m3_bound draw = {6e-6, 0, 0, "radius up to 6 times a wave whose angle carries one f32 rounding"};

#define TYPES(dtype)                                                                                                   \
    (dtype) = M3_F32;                                                                                                  \
    (dtype) <= M3_BF16;                                                                                                \
    (dtype) = (m3_dtype)((dtype) + 1)

static const char *array(m3_case_maker *m, m3_dtype dtype, const char *shape, const char *words)
{
    return m3_make_text(m, "%s%s%s", m3_dtype_name(dtype), shape, words);
}

/* Words of f32 specials, and of whole numbers beyond 2^24. */
static void make_values(m3_case_maker *m, const char *attrs, const char *shape)
{
    m3_make_rule(m, M3_RULE_SPECIAL);
    for (uint32_t i = 0; i < m3_make_special_count; i++) m3_make(m, attrs, array(m, M3_F32, shape, m3_make_special[i]));
    m3_make(m, attrs, array(m, M3_F16, shape, " nonfinite"));
    m3_make(m, attrs, array(m, M3_BF16, shape, " nonfinite"));
    m3_make_rule(m, M3_RULE_INTEGERS);
    for (m3_dtype dtype = M3_I32; dtype <= M3_U8; dtype = (m3_dtype)(dtype + 1)) {
        m3_make(m, attrs, array(m, dtype, shape, dtype == M3_U8 ? " bits" : " edges"));
        m3_make(m, attrs, array(m, dtype, shape, " bits"));
    }
}

/* Attributes and an array of every type. */
static void make_types(m3_case_maker *m, const char *attrs, const char *shape)
{
    m3_dtype dtype;
    m3_make_rule(m, M3_RULE_DTYPE);
    for (TYPES(dtype)) m3_make(m, attrs, array(m, dtype, shape, ""));
}

/* reshape. */

/* 24 elements at each rank; rank 0 has one. */
static m3_shape of_24(uint32_t rank)
{
    static const uint64_t dim[M3_MAX_RANK + 1][M3_MAX_RANK] = {
        {0}, {24}, {4, 6}, {2, 3, 4}, {2, 3, 2, 2}, {2, 3, 2, 1, 2}, {2, 1, 3, 2, 1, 2}};
    return m3_shape_of(rank, dim[rank]);
}

static void make_reshape(m3_case_maker *m, const m3_op_rules *of)
{
    static const char *const factors[] = {"1,24", "2,12", "3,8", "4,6", "6,4", "8,3", "12,2", "24,1"};
    m3_dtype dtype;
    (void)of;
    m3_make_rule_gradients(m, M3_RULE_RANK);
    for (uint32_t from = 1; from <= M3_MAX_RANK; from++)
        for (uint32_t to = 1; to <= M3_MAX_RANK; to++)
            m3_make(m, m3_make_ints(m, of_24(to)), array(m, M3_F32, m3_make_shape(m, of_24(from)), ""));
    for (uint32_t rank = 1; rank <= M3_MAX_RANK; rank++) {
        const m3_shape ones = {rank, {1, 1, 1, 1, 1, 1}};
        m3_make(m, "", array(m, M3_F32, m3_make_shape(m, ones), ""));
        m3_make(m, m3_make_ints(m, ones), "f32[]");
    }
    m3_make(m, "", "f32[]");
    m3_make_rule_gradients(m, M3_RULE_ATTRIBUTE);
    for (size_t i = 0; i < sizeof factors / sizeof factors[0]; i++) m3_make(m, factors[i], "f32[2,3,4]");
    make_types(m, "24", "[4,6]");
    for (TYPES(dtype)) {
        m3_make_rule(m, M3_RULE_SIZE);
        m->full = dtype != M3_F32 && dtype != M3_U8;
        for (uint32_t i = 0; i < m3_make_size_count; i++) {
            const uint32_t n = m3_make_sizes[i];
            m3_make(m, m3_make_text(m, "%u", 2 * n), array(m, dtype, m3_make_text(m, "[2,%u]", n), ""));
            m3_make(m, m3_make_text(m, "%u,3", n), array(m, dtype, m3_make_text(m, "[3,%u]", n), ""));
        }
        m3_make_rule(m, M3_RULE_LARGE);
        m->full = dtype != M3_F32;
        m3_make(m, "1025", array(m, dtype, "[5,205]", ""));
        m3_make(m, "65537", array(m, dtype, "[1,65537]", ""));
        m->full = true;
        m3_make(m, "2,524289", array(m, dtype, "[1048578]", ""));
    }
    make_values(m, "3,86", "[258]");
}

/* transpose. */

/* The n-th order of the axes, n < rank!. */
static m3_shape order(uint32_t rank, uint32_t n)
{
    m3_shape perm = {.rank = rank};
    uint32_t left[M3_MAX_RANK] = {0, 1, 2, 3, 4, 5}, ways = 1;
    for (uint32_t i = 2; i < rank; i++) ways *= i;
    for (uint32_t i = 0; i < rank; i++) {
        const uint32_t pick = n / ways;
        n %= ways;
        if (rank - i > 1 && i + 1 < rank) ways /= rank - i - 1;
        perm.dim[i] = left[pick];
        for (uint32_t k = pick; k + 1 < rank - i; k++) left[k] = left[k + 1];
    }
    return perm;
}

static uint32_t order_count(uint32_t rank)
{
    uint32_t count = 1;
    for (uint32_t i = 2; i <= rank; i++) count *= i;
    return count;
}

static void make_orders(m3_case_maker *m, uint32_t rank, m3_dtype dtype, const char *shape)
{
    for (uint32_t n = 0; n < order_count(rank); n++)
        m3_make(m, m3_make_ints(m, order(rank, n)), array(m, dtype, shape, ""));
}

static void make_transpose(m3_case_maker *m, const m3_op_rules *of)
{
    m3_dtype dtype;
    (void)of;
    m3_make_rule_gradients(m, M3_RULE_RANK);
    for (uint32_t rank = 0; rank <= M3_MAX_RANK; rank++) {
        m3_make(m, m3_make_ints(m, order(rank, order_count(rank) - 1)),
                array(m, M3_F32, m3_make_shape(m, m3_make_extents(rank)), ""));
        m3_make(m, m3_make_ints(m, order(rank, 0)), array(m, M3_F32, m3_make_shape(m, m3_make_extents(rank)), ""));
    }
    m3_make_rule_gradients(m, M3_RULE_AXIS);
    for (uint32_t rank = 1; rank <= M3_MAX_RANK; rank++) {
        m->full = rank > 4;
        make_orders(m, rank, M3_F32, m3_make_shape(m, m3_make_extents(rank)));
    }
    m3_make_rule_gradients(m, M3_RULE_ATTRIBUTE);
    make_orders(m, 3, M3_F32, "[5,4,3]");
    make_orders(m, 4, M3_F32, "[2,3,1,5]");
    m3_make_rule(m, M3_RULE_SQUARE);
    make_orders(m, 2, M3_F32, "[17,17]");
    make_orders(m, 3, M3_F32, "[5,5,5]");
    make_orders(m, 4, M3_F32, "[3,3,3,3]");
    make_types(m, "1,0", "[5,9]");
    make_types(m, "2,0,1", "[3,5,7]");
    for (TYPES(dtype)) {
        m3_make_rule(m, M3_RULE_SIZE);
        m->full = dtype != M3_F32 && dtype != M3_U8;
        for (uint32_t i = 0; i < m3_make_size_count; i++) {
            m3_make(m, "1,0", array(m, dtype, m3_make_text(m, "[3,%u]", m3_make_sizes[i]), ""));
            m3_make(m, "1,0", array(m, dtype, m3_make_text(m, "[%u,17]", m3_make_sizes[i]), ""));
            m3_make(m, "0,2,1", array(m, dtype, m3_make_text(m, "[2,%u,9]", m3_make_sizes[i]), ""));
            m3_make(m, "1,0,2", array(m, dtype, m3_make_text(m, "[%u,3,5]", m3_make_sizes[i]), ""));
            m3_make(m, "1,0", array(m, dtype, m3_make_text(m, "[%u,%u]", m3_make_sizes[i], m3_make_sizes[i]), ""));
        }
        m3_make_rule(m, M3_RULE_LARGE);
        m->full = dtype != M3_F32;
        m3_make(m, "1,0", array(m, dtype, "[1025,3]", ""));
        m3_make(m, "1,0", array(m, dtype, "[3,65537]", ""));
        m3_make(m, "1,0,2", array(m, dtype, "[257,257,2]", ""));
        m->full = true;
        m3_make(m, "1,0", array(m, dtype, "[1025,1025]", ""));
        m3_make(m, "0,2,1", array(m, dtype, "[65537,3,2]", ""));
        m3_make(m, "1,0", array(m, dtype, "[1048577,2]", ""));
    }
    make_values(m, "1,0", "[17,19]");
}

/* broadcast. */

static void make_broadcast(m3_case_maker *m, const m3_op_rules *of)
{
    static const char *const squares[] = {"[5]", "[5,1]", "[1,5]", "[5,5]", "[]"};
    m3_dtype dtype;
    (void)of;
    m3_make_rule_gradients(m, M3_RULE_RANK);
    const m3_shape all = m3_make_extents(M3_MAX_RANK);
    for (uint32_t to = 0; to <= M3_MAX_RANK; to++)
        for (uint32_t from = 0; from <= to; from++)
            m3_make(m, m3_make_ints(m, m3_shape_of(to, all.dim + (M3_MAX_RANK - to))),
                    array(m, M3_F32, m3_make_shape(m, m3_shape_of(from, all.dim + (M3_MAX_RANK - from))), ""));
    m3_make_rule_gradients(m, M3_RULE_AXIS);
    for (uint32_t rank = 1; rank <= M3_MAX_RANK; rank++) {
        for (uint32_t axes = 1; axes < 1u << rank; axes++) { /* those that repeat */
            m3_shape from = m3_make_extents(rank);
            m->full = rank > 4 && (axes & (axes - 1)) != 0;
            for (uint32_t axis = 0; axis < rank; axis++)
                if ((axes >> axis & 1u) != 0) from.dim[axis] = 1;
            m3_make(m, m3_make_ints(m, m3_make_extents(rank)), array(m, M3_F32, m3_make_shape(m, from), ""));
        }
    }
    m3_make_rule_gradients(m, M3_RULE_ATTRIBUTE);
    for (uint32_t n = 1; n < 6; n++) m3_make(m, m3_make_text(m, "%u,3", n), "f32[3]");
    m3_make_rule_gradients(m, M3_RULE_SQUARE);
    for (size_t i = 0; i < sizeof squares / sizeof squares[0]; i++) m3_make(m, "5,5", array(m, M3_F32, squares[i], ""));
    make_types(m, "3,5", "[5]");
    make_types(m, "3,5", "[3,1]");
    for (TYPES(dtype)) {
        m3_make_rule(m, M3_RULE_SIZE);
        m->full = dtype != M3_F32 && dtype != M3_U8;
        for (uint32_t i = 0; i < m3_make_size_count; i++) {
            const uint32_t n = m3_make_sizes[i];
            m3_make(m, m3_make_text(m, "3,%u", n), array(m, dtype, m3_make_text(m, "[%u]", n), ""));
            m3_make(m, m3_make_text(m, "%u,3", n), array(m, dtype, m3_make_text(m, "[%u,1]", n), ""));
            m3_make(m, m3_make_text(m, "%u", n), array(m, dtype, "[1]", ""));
        }
        m3_make_rule(m, M3_RULE_LARGE);
        m->full = dtype != M3_F32;
        m3_make(m, "1025", array(m, dtype, "[]", ""));
        m3_make(m, "257,257", array(m, dtype, "[257]", ""));
        m3_make(m, "65537,2", array(m, dtype, "[65537,1]", ""));
        m->full = true;
        m3_make(m, "1025,1025", array(m, dtype, "[1025,1]", ""));
    }
    make_values(m, "2,257", "[257]");
}

/* slice and pad: the place of a part within a whole. */

static void make_part(m3_case_maker *m, m3_dtype dtype, m3_shape whole, m3_shape before, m3_shape part)
{
    const bool slice = m->op->name[0] == 's';
    m3_make(m, m3_make_text(m, "%s; %s", m3_make_ints(m, before), m3_make_ints(m, slice ? part : whole)),
            array(m, dtype, m3_make_shape(m, slice ? whole : part), ""));
}

static void make_line(m3_case_maker *m, m3_dtype dtype, uint64_t rows, uint64_t n, uint64_t before, uint64_t after)
{
    const m3_shape whole = M3_SHAPE(rows, before + n + after), at = M3_SHAPE(0, before), part = M3_SHAPE(rows, n);
    make_part(m, dtype, whole, at, part);
}

static void make_parts(m3_case_maker *m, const m3_op_rules *of)
{
    const bool slice = m->op->name[0] == 's';
    m3_dtype dtype;
    (void)of;
    m3_make_rule_gradients(m, M3_RULE_RANK);
    for (uint32_t rank = 0; rank <= M3_MAX_RANK; rank++) {
        m3_shape whole = m3_make_extents(rank), before = {.rank = rank}, part = {.rank = rank};
        make_part(m, M3_F32, whole, before, whole);
        for (uint32_t i = 0; i < rank; i++) {
            before.dim[i] = 1;
            part.dim[i] = whole.dim[i] - 1;
        }
        make_part(m, M3_F32, whole, before, part);
    }
    m3_make_rule_gradients(m, M3_RULE_AXIS);
    for (uint32_t rank = 1; rank <= M3_MAX_RANK; rank++) {
        for (uint32_t axis = 0; axis < rank; axis++) {
            const m3_shape whole = m3_make_extents(rank);
            for (uint64_t at = 0; at < whole.dim[axis]; at++) {
                m3_shape before = {.rank = rank}, part = whole;
                before.dim[axis] = at;
                part.dim[axis] = 1;
                make_part(m, M3_F32, whole, before, part);
            }
        }
    }
    m3_make_rule_gradients(m, M3_RULE_ATTRIBUTE);
    for (uint64_t before = 0; before < 4; before++)
        for (uint64_t after = 0; after < 3; after++) {
            make_line(m, M3_F32, 3, 5, before, after);
            make_part(m, M3_F32, M3_SHAPE(before + 3 + after, 5), M3_SHAPE(before, 0), M3_SHAPE(3, 5));
        }
    m3_make_rule_gradients(m, M3_RULE_SQUARE);
    make_part(m, M3_F32, M3_SHAPE(7, 7), M3_SHAPE(1, 2), M3_SHAPE(4, 4));
    make_part(m, M3_F32, M3_SHAPE(7, 7), M3_SHAPE(3, 0), M3_SHAPE(4, 4));
    make_part(m, M3_F32, M3_SHAPE(5, 5, 5), M3_SHAPE(0, 1, 2), M3_SHAPE(3, 3, 3));
    make_types(m, slice ? "1,2; 2,3" : "1,2; 5,9", "[3,5]");
    for (TYPES(dtype)) {
        m3_make_rule(m, M3_RULE_SIZE);
        m->full = dtype != M3_F32 && dtype != M3_U8;
        for (uint32_t i = 0; i < m3_make_size_count; i++) {
            const uint32_t n = m3_make_sizes[i];
            make_line(m, dtype, 1, n, 1, 2);
            make_line(m, dtype, 3, n, 2, 0);
            make_part(m, dtype, M3_SHAPE(n + 3, 5), M3_SHAPE(2, 0), M3_SHAPE(n, 5));
        }
        m3_make_rule(m, M3_RULE_LARGE);
        m->full = dtype != M3_F32;
        make_line(m, dtype, 1, 1025, 1, 1);
        make_line(m, dtype, 2, 65537, 3, 0);
        make_part(m, dtype, M3_SHAPE(65540, 2), M3_SHAPE(3, 0), M3_SHAPE(65537, 2));
        m->full = true;
        make_line(m, dtype, 1, 1048577, 1, 0);
    }
    make_values(m, slice ? "1,3; 15,15" : "1,3; 19,23", "[17,19]");
}

/* concat. */

static const char *repeated(m3_case_maker *m, uint32_t count, const char *array)
{
    const char *text = array;
    for (uint32_t i = 1; i < count; i++) text = m3_make_text(m, "%s; %s", text, array);
    return text;
}

static const char *beside(m3_case_maker *m, m3_shape shape, uint32_t axis, m3_dtype dtype)
{
    m3_shape second = shape;
    second.dim[axis] += 2;
    return m3_make_text(m, "%s%s; %s%s; %s%s", m3_dtype_name(dtype), m3_make_shape(m, shape), m3_dtype_name(dtype),
                        m3_make_shape(m, second), m3_dtype_name(dtype), m3_make_shape(m, shape));
}

static void make_concat(m3_case_maker *m, const m3_op_rules *of)
{
    static const uint32_t counts[] = {1, 2, 3, 5, 7, 8, 9, 15, 16};
    m3_dtype dtype;
    (void)of;
    for (uint32_t rank = 1; rank <= M3_MAX_RANK; rank++) {
        m3_make_rule_gradients(m, M3_RULE_RANK);
        m3_make(m, "0", beside(m, m3_make_extents(rank), 0, M3_F32));
        m3_make_rule_gradients(m, M3_RULE_AXIS);
        for (uint32_t axis = 0; axis < rank; axis++)
            m3_make(m, m3_make_text(m, "%u", axis), beside(m, m3_make_extents(rank), axis, M3_F32));
        m3_make_rule_gradients(m, M3_RULE_ATTRIBUTE);
        m3_make(m, m3_make_text(m, "%u", rank - 1), beside(m, m3_make_extents(rank), rank - 1, M3_F32));
    }
    m3_make_rule_gradients(m, M3_RULE_SQUARE);
    for (uint32_t axis = 0; axis < 3; axis++) {
        if (axis < 2) m3_make(m, m3_make_text(m, "%u", axis), "f32[7,7]; f32[7,7]");
        m3_make(m, m3_make_text(m, "%u", axis), "f32[4,4,4]; f32[4,4,4]; f32[4,4,4]");
    }
    m3_make_rule_gradients(m, M3_RULE_COUNT);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        for (uint32_t axis = 0; axis < 2; axis++)
            m3_make(m, m3_make_text(m, "%u", axis), repeated(m, counts[i], axis == 0 ? "f32[3,2]" : "f32[2,3]"));
    m3_make_rule(m, M3_RULE_DTYPE);
    for (TYPES(dtype)) {
        m3_make(m, "0", beside(m, M3_SHAPE(3, 5), 0, dtype));
        m3_make(m, "1", beside(m, M3_SHAPE(3, 5), 1, dtype));
    }
    for (TYPES(dtype)) {
        const char *type = m3_dtype_name(dtype);
        m3_make_rule(m, M3_RULE_SIZE);
        m->full = dtype != M3_F32 && dtype != M3_U8;
        for (uint32_t i = 0; i < m3_make_size_count; i++) {
            const uint32_t n = m3_make_sizes[i];
            m3_make(m, "1", m3_make_text(m, "%s[3,%u]; %s[3,5]", type, n, type));
            m3_make(m, "1", m3_make_text(m, "%s[3,2]; %s[3,%u]", type, type, n));
            m3_make(m, "0", m3_make_text(m, "%s[%u,3]; %s[2,3]; %s[%u,3]", type, n, type, type, n));
        }
        m3_make_rule(m, M3_RULE_LARGE);
        m->full = dtype != M3_F32;
        m3_make(m, "0", m3_make_text(m, "%s[1025]; %s[3]", type, type));
        m3_make(m, "1", m3_make_text(m, "%s[2,65537]; %s[2,3]", type, type));
        m3_make(m, "1", m3_make_text(m, "%s[65537,1]; %s[65537,2]", type, type));
        m->full = true;
        m3_make(m, "0", m3_make_text(m, "%s[1048577]; %s[7]", type, type));
    }
    m3_make_rule(m, M3_RULE_SPECIAL);
    for (uint32_t i = 0; i < m3_make_special_count; i++)
        m3_make(m, "1", m3_make_text(m, "f32[17,9]%s; f32[17,3]", m3_make_special[i]));
    m3_make_rule(m, M3_RULE_INTEGERS);
    m3_make(m, "1", "i32[17,9] edges; i32[17,3] bits");
    m3_make(m, "0", "u32[17,9] edges; u32[3,9] bits");
}

/* iota and draws: arrays of a shape. */

static void make_iota(m3_case_maker *m, const m3_op_rules *of)
{
    (void)of;
    for (uint32_t rank = 1; rank <= M3_MAX_RANK; rank++) {
        for (uint32_t axis = 0; axis < rank; axis++) {
            const char *attrs = m3_make_text(m, "%s; %u", m3_make_ints(m, m3_make_extents(rank)), axis);
            m3_make_rule(m, M3_RULE_AXIS);
            m3_make(m, attrs, "");
            m3_make_rule(m, M3_RULE_RANK);
            if (axis == 0) m3_make(m, attrs, "");
            m3_make_rule(m, M3_RULE_ATTRIBUTE);
            if (axis + 1 == rank) m3_make(m, attrs, "");
        }
    }
    m3_make_rule(m, M3_RULE_SQUARE);
    for (uint32_t axis = 0; axis < 3; axis++) m3_make(m, m3_make_text(m, "5,5,5; %u", axis), "");
    m3_make_rule(m, M3_RULE_SIZE);
    for (uint32_t i = 0; i < m3_make_size_count; i++) {
        m3_make(m, m3_make_text(m, "%u; 0", m3_make_sizes[i]), "");
        m3_make(m, m3_make_text(m, "3,%u; 1", m3_make_sizes[i]), "");
        m3_make(m, m3_make_text(m, "%u,3; 0", m3_make_sizes[i]), "");
    }
    m3_make_rule(m, M3_RULE_LARGE);
    m3_make(m, "1025; 0", "");
    m3_make(m, "65537; 0", "");
    m3_make(m, "65537,3; 0", "");
    m->full = true;
    m3_make(m, "1048577; 0", "");
    m3_make(m, "3,524289; 1", "");
    m3_make_rule(m, M3_RULE_INTEGERS);
    m->full = true;
    m3_make(m, "16777221; 0", "");
}

static void make_draw(m3_case_maker *m, const m3_op_rules *of)
{
    static const char *const sites[] = {"0", "1", "2", "16777217", "2147483648", "4294967295"};
    (void)of;
    m3_make_rule(m, M3_RULE_RANK);
    for (uint32_t rank = 0; rank <= M3_MAX_RANK; rank++)
        m3_make(m, m3_make_text(m, "%s; 3", m3_make_ints(m, m3_make_extents(rank))), "u32[3]");
    m3_make_rule(m, M3_RULE_ATTRIBUTE);
    for (size_t i = 0; i < sizeof sites / sizeof sites[0]; i++)
        m3_make(m, m3_make_text(m, "33; %s", sites[i]), "u32[3]");
    m3_make_rule(m, M3_RULE_INTEGERS);
    for (size_t i = 0; i < sizeof sites / sizeof sites[0]; i++)
        m3_make(m, m3_make_text(m, "67; %s", sites[i]), "u32[3] edges");
    m3_make(m, "67; 1", "u32[3] value 0");
    m3_make(m, "67; 1", "u32[3] value 4294967295");
    m3_make_rule(m, M3_RULE_SIZE);
    for (uint32_t i = 0; i < m3_make_size_count; i++) {
        m3_make(m, m3_make_text(m, "%u; 2", m3_make_sizes[i]), "u32[3]");
        m3_make(m, m3_make_text(m, "3,%u; 2", m3_make_sizes[i]), "u32[3]");
    }
    m3_make_rule(m, M3_RULE_LARGE);
    m3_make(m, "1025; 4", "u32[3]");
    m3_make(m, "65537; 4", "u32[3]");
    m->full = true;
    m3_make(m, "262147; 4", "u32[3]");
    m3_make(m, "1048577; 4", "u32[3]");
}

/* {seed low, seed high, step, part, parts}: all of them one number, or any. */
static const char *const draw_numbers[] = {" value 0", " value 1", " value 4294967295", " bits"};

/* Batches that stand in an array several times; their elements fill blocks of four. */
static const struct {
    const char *extents, *repeats;
} batches[] = {{"8", "2"},           {"3,4", "3"},   {"12,4", "4"},    {"4,3,4", "4"},
               {"2,3,2,4", "6"},     {"2,3,4", "2"}, {"3,2,5,4", "3"}, {"2,2,3,2,4", "4"},
               {"2,1,2,1,2,8", "2"}, {"5,68", "5"},  {"3,0", "3"},     {"1,2,1,2,1,8", "2"}};
enum { BATCHES = sizeof batches / sizeof batches[0] };

static void make_draw_part(m3_case_maker *m, const m3_op_rules *of)
{
    static const char *const sites[] = {"0", "1", "16777217", "4294967295"};
    (void)of;
    m3_make_rule(m, M3_RULE_RANK);
    for (uint32_t rank = 0; rank <= M3_MAX_RANK; rank++)
        m3_make(m, m3_make_text(m, "%s; 3; 1", m3_make_ints(m, m3_make_extents(rank))), "u32[5]");
    for (size_t i = 0; i < BATCHES; i++)
        m3_make(m, m3_make_text(m, "%s; 3; %s", batches[i].extents, batches[i].repeats), "u32[5]");
    m3_make_rule(m, M3_RULE_ATTRIBUTE);
    for (size_t i = 0; i < sizeof sites / sizeof sites[0]; i++) {
        m3_make(m, m3_make_text(m, "33; %s; 1", sites[i]), "u32[5]");
        m3_make(m, m3_make_text(m, "5,68; %s; 5", sites[i]), "u32[5]");
    }
    m3_make_rule(m, M3_RULE_INTEGERS);
    for (size_t i = 0; i < sizeof sites / sizeof sites[0]; i++)
        m3_make(m, m3_make_text(m, "67; %s; 1", sites[i]), "u32[5] edges");
    for (size_t i = 0; i < sizeof draw_numbers / sizeof draw_numbers[0]; i++) {
        m3_make(m, "67; 1; 1", m3_make_text(m, "u32[5]%s", draw_numbers[i]));
        m3_make(m, "3,132; 1; 3", m3_make_text(m, "u32[5]%s", draw_numbers[i]));
        m3_make(m, "33,4; 1; 33", m3_make_text(m, "u32[5]%s", draw_numbers[i]));
    }
    m3_make_rule(m, M3_RULE_SIZE);
    for (uint32_t i = 0; i < m3_make_size_count; i++) {
        const uint32_t size = m3_make_sizes[i];
        m3_make(m, m3_make_text(m, "%u; 2; 1", size), "u32[5]");
        m3_make(m, m3_make_text(m, "3,%u,4; 2; 3", size), "u32[5]");
        if (size != 0) m3_make(m, m3_make_text(m, "%u,4; 2; %u", size, size), "u32[5]");
    }
    m3_make_rule(m, M3_RULE_LARGE);
    m3_make(m, "1025; 4; 1", "u32[5]");
    m3_make(m, "65537; 4; 1", "u32[5]");
    m3_make(m, "17,4100; 4; 17", "u32[5]");
    m->full = true;
    m3_make(m, "262147; 4; 1", "u32[5]");
    m3_make(m, "64,16388; 4; 64", "u32[5]");
}

static void make_dropout_part(m3_case_maker *m, const m3_op_rules *of)
{
    static const char *const rates[] = {"0", "0.1", "0.5", "0.99"}, *const sites[] = {"0", "4294967295"};
    (void)of;
    m3_make_rule_gradients(m, M3_RULE_RANK);
    for (uint32_t rank = 0; rank <= M3_MAX_RANK; rank++)
        m3_make(m, "0.25; 3; 1", m3_make_text(m, "f32%s; u32[5]", m3_make_shape(m, m3_make_extents(rank))));
    for (size_t i = 0; i < BATCHES; i++)
        m3_make(m, m3_make_text(m, "0.25; 3; %s", batches[i].repeats),
                m3_make_text(m, "f32[%s]; u32[5]", batches[i].extents));
    m3_make_rule_gradients(m, M3_RULE_ATTRIBUTE);
    for (size_t r = 0; r < sizeof rates / sizeof rates[0]; r++)
        for (size_t s = 0; s < sizeof sites / sizeof sites[0]; s++) {
            m3_make(m, m3_make_text(m, "%s; %s; 1", rates[r], sites[s]), "f32[67]; u32[5]");
            m3_make(m, m3_make_text(m, "%s; %s; 3", rates[r], sites[s]), "f32[3,5,4]; u32[5]");
        }
    m3_make_rule(m, M3_RULE_DTYPE);
    m3_make(m, "0.3; 1; 1", "f32[33]; u32[5]");
    m3_make_rule(m, M3_RULE_INTEGERS);
    m3_make(m, "0.3; 1; 1", "f32[67]; u32[5] edges");
    for (size_t i = 0; i < sizeof draw_numbers / sizeof draw_numbers[0]; i++) {
        m3_make(m, "0.3; 1; 1", m3_make_text(m, "f32[67]; u32[5]%s", draw_numbers[i]));
        m3_make(m, "0.3; 1; 3", m3_make_text(m, "f32[3,132]; u32[5]%s", draw_numbers[i]));
        m3_make(m, "0.3; 1; 33", m3_make_text(m, "f32[33,4]; u32[5]%s", draw_numbers[i]));
    }
    m3_make_rule(m, M3_RULE_SIZE);
    for (uint32_t i = 0; i < m3_make_size_count; i++) {
        const uint32_t size = m3_make_sizes[i];
        m3_make(m, "0.3; 2; 1", m3_make_text(m, "f32[%u]; u32[5]", size));
        m3_make(m, "0.3; 2; 3", m3_make_text(m, "f32[3,%u,4]; u32[5]", size));
        if (size != 0) m3_make(m, m3_make_text(m, "0.3; 2; %u", size), m3_make_text(m, "f32[%u,4]; u32[5]", size));
    }
    m3_make_rule(m, M3_RULE_LARGE);
    m3_make(m, "0.3; 4; 1", "f32[65537]; u32[5]");
    m3_make(m, "0.3; 4; 17", "f32[17,4100]; u32[5]");
    m->full = true;
    m3_make(m, "0.3; 4; 64", "f32[64,16388]; u32[5]");
    m3_make_rule(m, M3_RULE_SPECIAL);
    for (uint32_t i = 0; i < m3_make_special_count; i++)
        m3_make(m, "0.3; 5; 3", m3_make_text(m, "f32[3,88]%s; u32[5]", m3_make_special[i]));
}

static void make_dropout(m3_case_maker *m, const m3_op_rules *of)
{
    static const char *const rates[] = {"0", "0.1", "0.5", "0.9", "0.99"}, *const sites[] = {"0", "7", "4294967295"};
    (void)of;
    m3_make_rule_gradients(m, M3_RULE_RANK);
    for (uint32_t rank = 0; rank <= M3_MAX_RANK; rank++)
        m3_make(m, "0.25; 3", m3_make_text(m, "f32%s; u32[3]", m3_make_shape(m, m3_make_extents(rank))));
    m3_make_rule_gradients(m, M3_RULE_ATTRIBUTE);
    for (size_t r = 0; r < sizeof rates / sizeof rates[0]; r++)
        for (size_t s = 0; s < sizeof sites / sizeof sites[0]; s++)
            m3_make(m, m3_make_text(m, "%s; %s", rates[r], sites[s]), "f32[67]; u32[3]");
    m3_make_rule(m, M3_RULE_DTYPE);
    m3_make(m, "0.3; 1", "f32[33]; u32[3]");
    m3_make_rule(m, M3_RULE_INTEGERS);
    m3_make(m, "0.3; 1", "f32[67]; u32[3] edges");
    m3_make(m, "0.3; 1", "f32[67]; u32[3] value 4294967295");
    m3_make_rule(m, M3_RULE_SIZE);
    for (uint32_t i = 0; i < m3_make_size_count; i++) {
        m3_make(m, "0.3; 2", m3_make_text(m, "f32[%u]; u32[3]", m3_make_sizes[i]));
        m3_make(m, "0.3; 2", m3_make_text(m, "f32[3,%u]; u32[3]", m3_make_sizes[i]));
    }
    m3_make_rule(m, M3_RULE_LARGE);
    m3_make(m, "0.3; 4", "f32[1025]; u32[3]");
    m3_make(m, "0.3; 4", "f32[65537]; u32[3]");
    m->full = true;
    m3_make(m, "0.3; 4", "f32[1048577]; u32[3]");
    m3_make_rule(m, M3_RULE_SPECIAL);
    for (uint32_t i = 0; i < m3_make_special_count; i++)
        m3_make(m, "0.3; 5", m3_make_text(m, "f32[257]%s; u32[3]", m3_make_special[i]));
}

static const m3_bound rounding = {1.2e-38, 4e-7, 0, "one rounding of the scale, one of the product"};

#define NO_AXIS_DRAW   "elements are numbered, whatever the axes"
#define NO_SQUARE_DRAW "the extents only say how many elements there are"
#define NO_DTYPE       "the types are fixed"
#define NO_FLOAT       "its numbers are whole, or drawn"
#define DRAWS                                                                                                          \
    {                                                                                                                  \
        [M3_RULE_AXIS] = NO_AXIS_DRAW, [M3_RULE_SQUARE] = NO_SQUARE_DRAW, [M3_RULE_DTYPE] = NO_DTYPE,                  \
        [M3_RULE_SPECIAL] = NO_FLOAT                                                                                   \
    }
#define MOVES .bound = &exact, .keeps_zeros = true, .keeps_bits = true

/* clang-format off */
const m3_op_rules m3_rules_movement[] = {
    {.op = "reshape", .make = make_reshape, MOVES,
     .never = {[M3_RULE_AXIS] = "elements keep their order, whatever the axes",
               [M3_RULE_SQUARE] = "elements keep their order, so nothing could be exchanged"}},
    {.op = "transpose", .make = make_transpose, MOVES},
    {.op = "broadcast", .make = make_broadcast, MOVES},
    {.op = "slice", .make = make_parts, MOVES},
    {.op = "pad", .make = make_parts, MOVES},
    {.op = "concat", .make = make_concat, MOVES},
    {.op = "iota", .make = make_iota, .bound = &exact,
     .never = {[M3_RULE_DTYPE] = NO_DTYPE, [M3_RULE_SPECIAL] = NO_FLOAT}},
    {.op = "philox", .make = make_draw, .bound = &exact, .never = DRAWS},
    {.op = "random_uniform", .make = make_draw, .bound = &exact, .never = DRAWS},
    {.op = "random_normal", .make = make_draw, .bound = &draw, .never = DRAWS},
    {.op = "philox_part", .make = make_draw_part, .bound = &exact, .never = DRAWS},
    {.op = "random_uniform_part", .make = make_draw_part, .bound = &exact, .never = DRAWS},
    {.op = "random_normal_part", .make = make_draw_part, .bound = &draw, .never = DRAWS},
    {.op = "dropout_part", .make = make_dropout_part, .bound = &rounding,
     .never = {[M3_RULE_AXIS] = NO_AXIS_DRAW, [M3_RULE_SQUARE] = NO_SQUARE_DRAW}},
    {.op = "dropout", .make = make_dropout, .bound = &rounding,
     .never = {[M3_RULE_AXIS] = NO_AXIS_DRAW, [M3_RULE_SQUARE] = NO_SQUARE_DRAW}},
    {0},
};
/* clang-format on */
