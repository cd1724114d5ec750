/* rules_rows: cases of the ops that reduce an axis, pick and sum rows by ids, and sort. */
#include "core/conformance/rules.h"

#include "core/ops/common/rows.h"
#include "m3bsr/ops.h"

static const m3_bound exact = {0, 0, 0, "moves, chooses or compares: every bit counts"};
static const m3_bound sum = {1.2e-38, 4e-7, 0, "the last rounding; those of the sum come on top"};

#define TYPES(dtype)                                                                                                   \
    (dtype) = M3_F32;                                                                                                  \
    (dtype) <= M3_BF16;                                                                                                \
    (dtype) = (m3_dtype)((dtype) + 1)

/* reduce_sum, reduce_max. */

static uint64_t reduced_terms(const m3_node *node)
{
    return node->in[0]->shape.dim[m3_node_int(node, M3_REDUCE_AXIS)];
}

static void make_reduce(m3_case_maker *m, const m3_op_rules *of)
{
    static const uint32_t large[] = {1023, 1025, 4097, 65537, 1048577};
    m3_dtype dtype;
    (void)of;
    for (uint32_t rank = 1; rank <= M3_MAX_RANK; rank++) {
        const char *x = m3_make_text(m, "f32%s", m3_make_shape(m, m3_make_extents(rank)));
        for (uint32_t axis = 0; axis < rank; axis++) {
            for (uint32_t keep = 0; keep < 2; keep++) {
                const char *attrs = m3_make_text(m, "%u; %u", axis, keep);
                m3_make_rule_gradients(m, M3_RULE_AXIS);
                m3_make(m, attrs, x);
                m3_make_rule_gradients(m, M3_RULE_RANK);
                if (axis == 0) m3_make(m, attrs, x);
                m3_make_rule_gradients(m, M3_RULE_ATTRIBUTE);
                if (axis + 1 == rank) m3_make(m, attrs, x);
            }
        }
    }
    m3_make_rule_gradients(m, M3_RULE_SQUARE);
    for (uint32_t axis = 0; axis < 3; axis++) {
        m3_make(m, m3_make_text(m, "%u; 0", axis), "f32[5,5,5]");
        if (axis < 2) m3_make(m, m3_make_text(m, "%u; 0", axis), "f32[17,17]");
        if (axis < 2) m3_make(m, m3_make_text(m, "%u; 1", axis), "f32[7,7]");
    }
    for (TYPES(dtype)) {
        if (!m3_make_admits(m, dtype)) continue;
        const char *type = m3_dtype_name(dtype);
        m3_make_rule(m, M3_RULE_DTYPE);
        for (uint32_t axis = 0; axis < 3; axis++)
            m3_make(m, m3_make_text(m, "%u; 0", axis), m3_make_text(m, "%s[3,5,7]", type));
        m3_make_rule(m, M3_RULE_SIZE);
        for (uint32_t i = 0; i < m3_make_size_count; i++) {
            const uint32_t n = m3_make_sizes[i];
            m->full = dtype != M3_F32;
            m3_make(m, "0; 0", m3_make_text(m, "%s[%u]", type, n));
            m3_make(m, "1; 0", m3_make_text(m, "%s[3,%u]", type, n));
            m3_make(m, "0; 0", m3_make_text(m, "%s[3,%u]", type, n));
            m3_make(m, "0; 1", m3_make_text(m, "%s[%u,5]", type, n));
            m3_make(m, "1; 0", m3_make_text(m, "%s[2,%u,3]", type, n));
            m->full = true;
            for (uint32_t k = 0; k < m3_make_size_count; k++) {
                m3_make(m, "0; 0", m3_make_text(m, "%s[%u,%u]", type, n, m3_make_sizes[k]));
                m3_make(m, "1; 0", m3_make_text(m, "%s[%u,%u]", type, n, m3_make_sizes[k]));
            }
        }
        m3_make_rule(m, M3_RULE_LARGE);
        for (size_t i = 0; i < sizeof large / sizeof large[0]; i++) {
            m->full = dtype != M3_F32 || large[i] > 1u << 17;
            m3_make(m, "0; 0", m3_make_text(m, "%s[%u]", type, large[i]));
            m3_make(m, "1; 0", m3_make_text(m, "%s[2,%u]", type, large[i]));
            m3_make(m, "0; 0", m3_make_text(m, "%s[%u,3]", type, large[i]));
            m3_make(m, "0; 0", m3_make_text(m, "%s[2,%u]", type, large[i]));
            m3_make(m, "1; 0", m3_make_text(m, "%s[%u,2]", type, large[i]));
            m3_make(m, "1; 0", m3_make_text(m, "%s[5,3,%u]", type, large[i]));
            m3_make(m, "1; 0", m3_make_text(m, "%s[3,%u,2]", type, large[i]));
            m3_make(m, "0; 0", m3_make_text(m, "%s[%u] small", type, large[i]));
            m3_make(m, "0; 0", m3_make_text(m, "%s[%u,3] small", type, large[i]));
            m3_make(m, "1; 0", m3_make_text(m, "%s[2,%u] small", type, large[i]));
        }
    }
    m3_make_rule(m, M3_RULE_INTEGERS);
    for (uint32_t axis = 0; axis < 2; axis++) {
        m3_make(m, m3_make_text(m, "%u; 0", axis), "i32[17,33] edges");
        m3_make(m, m3_make_text(m, "%u; 0", axis), "i32[17,33] bits");
        m3_make(m, m3_make_text(m, "%u; 0", axis), "i32[3,1025] edges");
    }
    m3_make_rule(m, M3_RULE_SPECIAL);
    for (uint32_t i = 0; i < m3_make_special_count; i++)
        for (uint32_t axis = 0; axis < 2; axis++)
            m3_make(m, m3_make_text(m, "%u; 0", axis), m3_make_text(m, "f32[33,35]%s", m3_make_special[i]));
    m3_make(m, "1; 0", "f32[3,1025] rare nan");
    m3_make(m, "0; 0", "f32[65537] rare nan");
}

/* gather, scatter_add, group_rows, scatter_rows: rows of axis 0 and ids. */

/* The inputs and attributes of a case: a table of `count` rows, `picks` ids with words, and the row's other extents. */
static void make_rows_case(m3_case_maker *m, const char *type, const char *skip, uint64_t count, uint64_t picks,
                           const char *ids, const char *row, const char *words)
{
    const unsigned long long n = count, r = picks;
    const char *table = m3_make_text(m, "%s[%llu%s]%s", type, n, row, words);
    const char *rows = m3_make_text(m, "%s[%llu%s]%s", type, r, row, words);
    if (m->op->name[0] == 'g' && m->op->name[1] == 'a')
        m3_make(m, skip, m3_make_text(m, "%s; i32[%llu]%s", table, r, ids));
    else if (m->op->name[0] == 'g')
        m3_make(m, skip, m3_make_text(m, "i32[%llu]%s; %s", r, ids, rows));
    else if (m->op->attr_count == 0)
        m3_make(m, "", m3_make_text(m, "%s; i32[%llu]%s; %s", table, r, ids, rows));
    else
        m3_make(m, m3_make_text(m, "%llu; %s", n, skip), m3_make_text(m, "i32[%llu]%s; %s", r, ids, rows));
}

/* Ids that fit the op: different ones where it wants that. */
static const char *ids_of(m3_case_maker *m, uint64_t count)
{
    const bool distinct = m->op->attr_count == 0;
    return m3_make_text(m, " %s %llu", distinct ? "distinct" : "ids", (unsigned long long)count);
}

static void make_rows(m3_case_maker *m, const m3_op_rules *of)
{
    static const char *const skips[] = {"-1", "0", "1", "4", "5", "2147483647"};
    static const char *const row[M3_MAX_RANK] = {"", ",3", ",2,3", ",2,3,2", ",2,1,3,2", ",2,1,2,1,3"};
    static const uint32_t large[] = {1025, 65537, 1048577};
    const bool gather = of->op[1] == 'a', scatter_rows = m->op->attr_count == 0;
    m3_dtype dtype;
    m3_make_rule_gradients(m, M3_RULE_RANK);
    for (uint32_t rank = 0; rank < M3_MAX_RANK; rank++)
        make_rows_case(m, "f32", "-1", 5, 7, ids_of(m, 5), row[rank], "");
    for (uint32_t table = 1; table <= M3_MAX_RANK && gather; table++)
        for (uint32_t ids = 0; ids + table <= M3_MAX_RANK + 1; ids++)
            m3_make(m, "-1",
                    m3_make_text(m, "f32[5%s]; i32%s ids 5", row[table - 1], m3_make_shape(m, m3_make_extents(ids))));
    m3_make_rule_gradients(m, scatter_rows ? M3_RULE_RANK : M3_RULE_ATTRIBUTE);
    for (size_t i = 0; i < sizeof skips / sizeof skips[0]; i++)
        make_rows_case(m, "f32", skips[i], 5, 33, ids_of(m, 5), ",3", "");
    for (uint32_t n = 0; n < 4; n++) make_rows_case(m, "f32", "-1", n, 9, ids_of(m, n), ",3", "");
    m3_make_rule_gradients(m, M3_RULE_SQUARE);
    make_rows_case(m, "f32", "-1", 7, 7, ids_of(m, 7), ",7", "");
    make_rows_case(m, "f32", "0", 17, 17, ids_of(m, 17), ",17", "");
    for (TYPES(dtype)) {
        if (!m3_make_admits(m, dtype)) continue;
        const char *type = m3_dtype_name(dtype);
        m3_make_rule(m, M3_RULE_DTYPE);
        make_rows_case(m, type, "-1", 9, 17, ids_of(m, 9), ",5", "");
        make_rows_case(m, type, "0", 9, 17, ids_of(m, 9), "", "");
        m3_make_rule(m, M3_RULE_SIZE);
        for (uint32_t i = 0; i < m3_make_size_count; i++) {
            const uint32_t n = m3_make_sizes[i];
            m->full = dtype != M3_F32;
            make_rows_case(m, type, "-1", 9, n, ids_of(m, 9), ",3", "");
            make_rows_case(m, type, "0", 9, 7, ids_of(m, 9), m3_make_text(m, ",%u", n), "");
            make_rows_case(m, type, "-1", n, 9, ids_of(m, n), ",3", "");
            make_rows_case(m, type, "-1", n, n, ids_of(m, n), "", "");
            m->full = true;
            for (uint32_t k = 0; k < m3_make_size_count; k += 2)
                make_rows_case(m, type, "1", 17, m3_make_sizes[k], ids_of(m, 17), m3_make_text(m, ",%u", n), "");
        }
        m3_make_rule(m, M3_RULE_LARGE);
        for (size_t i = 0; i < sizeof large / sizeof large[0]; i++) {
            m->full = dtype != M3_F32 || large[i] > 1u << 17;
            make_rows_case(m, type, "-1", large[i], 33, ids_of(m, large[i]), ",2", "");
            make_rows_case(m, type, "-1", 100, large[i], ids_of(m, 100), "", "");
            make_rows_case(m, type, "-1", large[i], large[i], ids_of(m, large[i]), "", "");
            make_rows_case(m, type, "0", 5, 9, ids_of(m, 5), m3_make_text(m, ",%u", large[i]), "");
            if (gather || scatter_rows) continue;
            make_rows_case(m, type, "-1", 1, large[i], " value 0", "", " small"); /* one sum of all rows */
            make_rows_case(m, type, "-1", 1, large[i], " value 0", ",4", " small");
        }
    }
    m3_make_rule(m, M3_RULE_INTEGERS);
    make_rows_case(m, "f32", "-1", 9, 65, scatter_rows ? " value -2147483648" : " edges", ",3", "");
    make_rows_case(m, "f32", "0", 9, 65, scatter_rows ? " value 2147483647" : " edges", ",3", "");
    make_rows_case(m, "f32", "16777217", 9, 65, scatter_rows ? " distinct 9" : " edges", ",3", "");
    if (!scatter_rows) make_rows_case(m, "f32", "-1", 9, 257, " bits", "", "");
    if (m3_make_admits(m, M3_I32)) make_rows_case(m, "i32", "-1", 9, 65, ids_of(m, 9), ",3", " edges");
    if (m3_make_admits(m, M3_U32)) make_rows_case(m, "u32", "-1", 9, 65, ids_of(m, 9), ",3", " edges");
    m->full = true; /* the last rows of a table beyond 2^24 */
    if (gather) m3_make(m, "-1", "u8[16777300]; i32[257] last 16777300");
    if (scatter_rows) m3_make(m, "", "u8[16777300]; i32[33] last 16777300; u8[33]");
    m3_make_rule(m, M3_RULE_SPECIAL);
    for (uint32_t i = 0; i < m3_make_special_count; i++) {
        make_rows_case(m, "f32", "-1", 17, 33, ids_of(m, 17), ",9", m3_make_special[i]);
        make_rows_case(m, "f32", "0", 17, 33, ids_of(m, 17), "", m3_make_special[i]);
    }
}

static uint64_t picked_terms(const m3_node *node)
{
    return node->in[0]->shape.dim[0];
}

/* sort, top_k: the last axis. */

static void make_ordered(m3_case_maker *m, const char *k, const char *x)
{
    m3_make(m, m->op->attr_count == 0 ? "" : k, x);
}

static void make_order(m3_case_maker *m, const m3_op_rules *of)
{
    static const uint32_t large[] = {1023, 1024, 1025, 2049, 4097, 16385, 65537, 1048577};
    const bool picks = m->op->attr_count > 0;
    m3_dtype dtype;
    (void)of;
    m3_make_rule_gradients(m, M3_RULE_RANK);
    for (uint32_t rank = 1; rank <= M3_MAX_RANK; rank++)
        make_ordered(m, "2", m3_make_text(m, "f32%s", m3_make_shape(m, m3_make_extents(rank))));
    m3_make_rule_gradients(m, M3_RULE_SQUARE);
    make_ordered(m, "3", "f32[7,7]");
    make_ordered(m, "5", "f32[5,5,5]");
    m3_make_rule_gradients(m, M3_RULE_ATTRIBUTE);
    for (uint32_t k = 0; k <= 9 && picks; k++) m3_make(m, m3_make_text(m, "%u", k), "f32[3,9]");
    for (TYPES(dtype)) {
        if (!m3_make_admits(m, dtype)) continue;
        const char *type = m3_dtype_name(dtype), *ties = dtype == M3_U32 ? " value 7" : dtype == M3_I32 ? "" : " ties";
        m3_make_rule(m, M3_RULE_DTYPE);
        make_ordered(m, "3", m3_make_text(m, "%s[3,17]", type));
        make_ordered(m, "3", m3_make_text(m, "%s[3,17]%s", type, ties));
        m3_make_rule(m, M3_RULE_SIZE);
        for (uint32_t i = 0; i < m3_make_size_count; i++) {
            const uint32_t n = m3_make_sizes[i];
            m->full = dtype != M3_F32;
            make_ordered(m, n > 3 ? "3" : "0", m3_make_text(m, "%s[3,%u]", type, n));
            make_ordered(m, n > 3 ? "3" : "0", m3_make_text(m, "%s[%u]%s", type, n, ties));
            make_ordered(m, m3_make_text(m, "%u", n), m3_make_text(m, "%s[2,%u]%s", type, n, ties));
            make_ordered(m, "5", m3_make_text(m, "%s[%u,9]", type, n));
            for (uint32_t k = 0; k <= i && picks; k++) {
                m->full = true;
                m3_make(m, m3_make_text(m, "%u", m3_make_sizes[k]), m3_make_text(m, "%s[2,%u]", type, n));
            }
        }
        m3_make_rule(m, M3_RULE_LARGE);
        for (size_t i = 0; i < sizeof large / sizeof large[0]; i++) {
            m->full = dtype != M3_F32 || large[i] > 1u << 17;
            make_ordered(m, "7", m3_make_text(m, "%s[%u]", type, large[i]));
            make_ordered(m, "100", m3_make_text(m, "%s[2,%u]%s", type, large[i], ties));
            make_ordered(m, "2", m3_make_text(m, "%s[%u,3]", type, large[i]));
        }
    }
    m3_make_rule(m, M3_RULE_INTEGERS);
    for (dtype = M3_I32; dtype <= M3_U32; dtype = (m3_dtype)(dtype + 1)) {
        if (!m3_make_admits(m, dtype)) continue;
        m3_make(m, "", m3_make_text(m, "%s[5,257] edges", m3_dtype_name(dtype)));
        m3_make(m, "", m3_make_text(m, "%s[2,1025] bits", m3_dtype_name(dtype)));
        m3_make(m, "", m3_make_text(m, "%s[2,4097] edges", m3_dtype_name(dtype)));
    }
    m3_make_rule(m, M3_RULE_SPECIAL);
    for (uint32_t i = 0; i < m3_make_special_count; i++) {
        make_ordered(m, "9", m3_make_text(m, "f32[5,65]%s", m3_make_special[i]));
        make_ordered(m, "33", m3_make_text(m, "f32[2,1025]%s", m3_make_special[i]));
    }
}

#define NO_AXIS  "rows lie along axis 0"
#define NO_WHOLE "it takes no integers"
#define LAST     "it works along the last axis alone; see rank"

/* clang-format off */
const m3_op_rules m3_rules_rows[] = {
    {.op = "reduce_sum", .make = make_reduce, .bound = &sum, .room = M3_ROOM_SUM, .terms = reduced_terms,
     .probe = "?[1]", .probe_attrs = "0; 0"},
    {.op = "reduce_max", .make = make_reduce, .bound = &exact, .probe = "?[1]", .probe_attrs = "0; 0"},
    {.op = "gather", .make = make_rows, .bound = &exact, .probe = "?[1]; i32[1]", .probe_attrs = "-1",
     .keeps_zeros = true, .keeps_bits = true, .never = {[M3_RULE_AXIS] = NO_AXIS}},
    {.op = "scatter_add", .make = make_rows, .bound = &sum, .room = M3_ROOM_SUM, .terms = picked_terms,
     .probe = "i32[1]; ?[1]", .probe_attrs = "1; -1", .never = {[M3_RULE_AXIS] = NO_AXIS}},
    {.op = "scatter_rows", .make = make_rows, .bound = &exact, .probe = "?[1]; i32[1]; ?[1]", .keeps_zeros = true,
     .keeps_bits = true, .never = {[M3_RULE_AXIS] = NO_AXIS}},
    {.op = "group_rows", .make = make_rows, .bound = &sum, .room = M3_ROOM_SUM, .terms = picked_terms,
     .probe = "i32[1]; ?[1]", .probe_attrs = "-1", .never = {[M3_RULE_AXIS] = NO_AXIS}},
    {.op = "sort", .make = make_order, .bound = &exact, .probe = "?[1]", .keeps_zeros = true,
     .never = {[M3_RULE_AXIS] = LAST}},
    {.op = "top_k", .make = make_order, .bound = &exact, .probe = "?[1]", .probe_attrs = "1", .keeps_zeros = true,
     .never = {[M3_RULE_AXIS] = LAST, [M3_RULE_INTEGERS] = NO_WHOLE}},
    {0},
};
/* clang-format on */
