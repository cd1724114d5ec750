/* rules_chain: cases of chain: every function as a step, between others, and what operands may be. */
#include "core/conformance/rules.h"

#include "m3bsr/ops.h"

static const m3_bound bound = {1e-6, 2e-5, 0, "an elementary function and a few roundings, which may be fused"};

/* Steps as an attribute has them. */
#define STEP(m, f, a, b, c) m3_make_text(m, "%d%02d%02d%02d", (int)(f), a, b, c)

/* z = (x + y) w: inputs 0 to 2, steps 3 and 4. */
static const char sum_product[] = "1; 19000100,21030200;;";

static const char *three(m3_case_maker *m, const char *x, const char *y, const char *w)
{
    return m3_make_text(m, "f32%s; f32%s; f32%s", x, y, w);
}

static void make_shapes(m3_case_maker *m)
{
    m3_make_rule(m, M3_RULE_RANK);
    for (uint32_t rank = 0; rank <= M3_MAX_RANK; rank++) {
        const char *shape = m3_make_shape(m, m3_make_extents(rank));
        m3_make(m, sum_product, three(m, shape, shape, shape));
        m3_make(m, sum_product, three(m, shape, "[]", shape));
    }
    m3_make_rule(m, M3_RULE_AXIS);
    for (uint32_t rank = 1; rank <= M3_MAX_RANK; rank++) {
        const m3_shape all = m3_make_extents(rank);
        const char *whole = m3_make_shape(m, all);
        for (uint32_t axis = 0; axis < rank; axis++) {
            m3_shape some = all, rest = all;
            some.dim[axis] = 1;
            for (uint32_t i = 0; i < rank; i++)
                if (i != axis) rest.dim[i] = 1;
            m3_make(m, sum_product, three(m, m3_make_shape(m, some), whole, whole));
            m3_make(m, sum_product, three(m, whole, whole, m3_make_shape(m, some)));
            m3_make(m, sum_product, three(m, m3_make_shape(m, some), m3_make_shape(m, rest), whole));
        }
    }
    m3_make_rule(m, M3_RULE_SQUARE);
    m3_make(m, sum_product, three(m, "[7,7]", "[7]", "[7,1]"));
    m3_make(m, sum_product, three(m, "[7,1]", "[7,7]", "[7]"));
    m3_make(m, sum_product, three(m, "[5,5,1]", "[5,1,5]", "[5,5]"));
    m3_make(m, sum_product, three(m, "[17,17]", "[17,1]", "[17,17]"));
}

/* A function of one operand, times that operand; of two, less the first; what decides, as a condition. */
static void make_function(m3_case_maker *m, uint32_t f)
{
    const bool positive = f == M3_CHAIN_LOG || f == M3_CHAIN_SQRT || f == M3_CHAIN_LOG1P || f == M3_CHAIN_POW;
    const char *x = positive ? "f32[129] positive" : "f32[129]";
    if (f == M3_CHAIN_CAST) {
        for (uint32_t to = M3_F32; to <= M3_BF16; to++)
            m3_make(m, m3_make_text(m, "1; %s,%s;;", STEP(m, f, 0, (int)to, 0), STEP(m, f, 1, M3_I32, 0)),
                    "i32[129] edges");
    } else if (f == M3_CHAIN_NOT) {
        m3_make(m, m3_make_text(m, "1; %s,%s;;", STEP(m, f, 0, 0, 0), STEP(m, M3_CHAIN_WHERE, 3, 1, 2)),
                "bool[129]; f32[129]; f32[]");
    } else if (f == M3_CHAIN_AND || f == M3_CHAIN_OR) {
        m3_make(m, m3_make_text(m, "1; %s,%s;;", STEP(m, f, 0, 1, 0), STEP(m, M3_CHAIN_WHERE, 4, 2, 3)),
                "bool[129]; bool[129]; f32[129]; f32[]");
    } else if (f >= M3_CHAIN_EQUAL && f <= M3_CHAIN_LESS_EQUAL) {
        m3_make(m, m3_make_text(m, "1; %s,%s;;", STEP(m, f, 0, 1, 0), STEP(m, M3_CHAIN_WHERE, 2, 0, 1)),
                "f32[129] ties; f32[129] ties");
    } else if (f == M3_CHAIN_WHERE) {
        m3_make(m, m3_make_text(m, "1; %s,%s;;", STEP(m, M3_CHAIN_ADD, 1, 2, 0), STEP(m, f, 0, 3, 1)),
                "bool[129]; f32[129]; f32[129]");
    } else if (f >= M3_CHAIN_ADD) {
        m3_make(m, m3_make_text(m, "1; %s,%s;;", STEP(m, f, 0, 1, 0), STEP(m, M3_CHAIN_MAX, 2, 0, 0)),
                m3_make_text(m, "%s; f32[129] positive", x));
    } else {
        m3_make(m, m3_make_text(m, "1; %s,%s;;", STEP(m, f, 0, 0, 0), STEP(m, M3_CHAIN_MUL, 1, 0, 0)), x);
        m3_make(m, m3_make_text(m, "1; %s,%s;;", STEP(m, M3_CHAIN_NEG, 0, 0, 0), STEP(m, f, 1, 0, 0)),
                positive ? "f32[33] value -1.5" : "f32[33]");
    }
}

static void make_tapes(m3_case_maker *m)
{
    m3_make_rule(m, M3_RULE_ATTRIBUTE);
    for (uint32_t f = 0; f < M3_CHAIN_FUNCTIONS; f++) make_function(m, f);
    /* Results out of order, and values that others read, too. */
    m3_make(m, "2,0; 19000100,21020200,20030000;;", "f32[3,35]; f32[35]");
    m3_make(m, "0,1,2,3; 19000100,21020200,20030000,22040100;;", "f32[2049]; f32[2049] positive");
    m3_make(m, "1,0; 27000100,32020001;;", "f32[257]; f32[257]");
    /* A result over an operand that a later step reads. */
    m3_make(m, "0,2; 19000100,21020000,20030100;;", "f32[1100]; f32[1100]");
    /* More than a list of steps has; of single elements, too. */
    m3_make(m,
            "11; 19000100,19020100,19030100,19040100,19050100,19060100; "
            "19070100,19080100,19090100,19100100,19110100,19120100;",
            "f32[77]; f32[77]");
    m3_make(m, "2; 19000100,2030000,21020400;;", "f32[]; f32[]; f32[1500]");
    m3_make_rule(m, M3_RULE_COUNT);
    m3_make(m, "0; 0000000;;", "f32[129]");
    m3_make(m, "0; 19000100;;", "f32[129]; f32[129]");
    m3_make(m, sum_product, "f32[3,43]; f32[43]; f32[3,1]");
    m3_make(m, "8; 19000100,19100200,19110300,19120400,19130500,19140600; 19150700,19160800,19170900;",
            "f32[1]; f32[9,1]; f32[7]; f32[9,7]; f32[]; f32[2,1,1]; f32[2,9,1]; f32[2,1,7]; f32[1,7]; f32[2,9,7]");
}

static void make_types(m3_case_maker *m)
{
    static const char *const halves[] = {"bf16", "f16"};
    m3_make_rule(m, M3_RULE_DTYPE);
    for (m3_dtype dtype = M3_F32; dtype <= M3_BF16; dtype = (m3_dtype)(dtype + 1)) {
        const char *x = m3_make_text(m, "%s[33]", m3_dtype_name(dtype));
        m3_make(m, "1; 18000000,0010000;;", x);
        m3_make(m, "1; 18000000,0010000;;", m3_make_text(m, "%s[3,35]", m3_dtype_name(dtype)));
    }
    /* Sums and products of 16 bits, rounded where they are stored, and on the way. */
    for (uint32_t i = 0; i < sizeof halves / sizeof halves[0]; i++) {
        const int half = i == 0 ? M3_BF16 : M3_F16;
        const char *in = m3_make_text(m, "%s[3,131]; %s[131]", halves[i], halves[i]);
        const char *casts = m3_make_text(m, "%s,%s", STEP(m, M3_CHAIN_CAST, 0, 0, 0), STEP(m, M3_CHAIN_CAST, 1, 0, 0));
        m3_make(m, m3_make_text(m, "3; %s,19020300,%s;;", casts, STEP(m, M3_CHAIN_CAST, 4, half, 0)), in);
        m3_make(m,
                m3_make_text(m, "6; %s,19020300,%s,%s,21060300; %s;", casts, STEP(m, M3_CHAIN_CAST, 4, half, 0),
                             STEP(m, M3_CHAIN_CAST, 5, 0, 0), STEP(m, M3_CHAIN_CAST, 7, half, 0)),
                in);
        m3_make(m, m3_make_text(m, "4,3; %s,19020300,%s,0040000;;", casts, STEP(m, M3_CHAIN_CAST, 4, half, 0)), in);
    }
    m3_make(m, "2; 27000100,18020000,0030000;;", "i32[257]; i32[]"); /* decides, and counts as 0 or 1 */
}

static void make(m3_case_maker *m, const m3_op_rules *of)
{
    static const char gated[] = "1; 31000100,19020100;;", kept[] = "1; 19000100,25020100;;";
    (void)of;
    make_shapes(m);
    make_tapes(m);
    make_types(m);
    m3_make_rule(m, M3_RULE_SIZE);
    for (uint32_t i = 0; i < m3_make_size_count; i++) {
        const char *line = m3_make_text(m, "[%u]", m3_make_sizes[i]),
                   *rows = m3_make_text(m, "[3,%u]", m3_make_sizes[i]);
        m3_make(m, sum_product, three(m, line, line, line));
        m3_make(m, sum_product, three(m, rows, line, "[3,1]"));
        m3_make(m, "1; 19000100,27020000;;", m3_make_text(m, "f32%s; f32%s", rows, line));
    }
    m3_make_rule(m, M3_RULE_LARGE);
    m3_make(m, sum_product, three(m, "[1025]", "[1025]", "[1025]"));
    m3_make(m, sum_product, three(m, "[257,257]", "[257,1]", "[257]"));
    m3_make(m, sum_product, three(m, "[65537]", "[65537]", "[]"));
    m->full = true;
    m3_make(m, sum_product, three(m, "[1048577]", "[1048577]", "[1048577]"));
    m3_make_rule(m, M3_RULE_INTEGERS);
    m3_make(m, "1; 18000000,0010000;;", "i32[257] edges");
    m3_make(m, "1; 18000000,0010000;;", "u32[257] edges");
    m3_make(m, "1; 19000100,26020100;;", "i32[257] edges; i32[257] bits");
    m3_make_rule(m, M3_RULE_SPECIAL);
    for (uint32_t i = 0; i < m3_make_special_count; i++) {
        m3_make(m, gated, m3_make_text(m, "f32[257]%s; f32[257]", m3_make_special[i]));
        m3_make(m, kept, m3_make_text(m, "f32[257]; f32[257]%s", m3_make_special[i]));
    }
}

const m3_op_rules m3_rules_chain[] = {
    {.op = "chain",
     .make = make,
     .bound = &bound,
     .room = M3_ROOM_SHAKEN,
     .probe = "?[1]",
     .probe_attrs = "0; 18000000;;"},
    {0},
};
