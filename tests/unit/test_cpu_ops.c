/* The cpu backend over all conformance cases and some that are large enough to be shared among threads: on each set of
 * instructions, with one thread and with three, over other patterns and in place. A core op is compared with the
 * reference backend, a fused one with its decomposition, evaluated in double precision.   Labels: threads */
#include "core/conformance/rules.h"

#include <math.h>

#include "tests/support/backend_rig.h"
#include "tests/support/interpret.h"

enum { MACHINES = 4, SEED = 20250801 };

typedef struct fixture {
    rig reference, cpu[MACHINES][2];
    bool there[MACHINES];
} fixture;

static const char *const isa[MACHINES] = {"portable", "avx2", "avx512", "avx512bf16"};
static const uint32_t threads[2] = {1, 3};

static fixture all; /* cmocka gives a test either the group's state or its own */

static int open_all(void **state)
{
    (void)state;
    fixture *f = &all;
    m3_error err = {0};
    assert_int_equal(rig_open(&f->reference, "reference", 1, NULL, 0, &err), M3_OK);
    for (uint32_t m = 0; m < MACHINES; m++) {
        for (uint32_t t = 0; t < 2; t++) {
            m3_option option = {"isa", isa[m]};
            err = (m3_error){0};
            m3_status st = rig_open(&f->cpu[m][t], "cpu", threads[t], &option, 1, &err);
            if (st != M3_OK && st != M3_ERR_UNSUPPORTED) fail_msg("%s", err.message);
            f->there[m] = st == M3_OK;
        }
    }
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    fixture *f = &all;
    rig_close(&f->reference);
    for (uint32_t m = 0; m < MACHINES; m++)
        for (uint32_t t = 0; t < 2; t++) rig_close(&f->cpu[m][t]);
    return 0;
}

/* How far the outputs lie from the wanted ones, as a share of what the case allows. */
static double compare(const rig_node *n, const m3_bound *bound, const void *got, const void *want, double at[3])
{
    const unsigned char *a = got, *b = want;
    double worst = 0;
    for (uint32_t k = 0; k < n->node.out_count; k++) {
        const m3_tensor *y = n->out[k];
        uint64_t count = m3_tensor_count(y);
        double *x = calloc((size_t)count + 1, sizeof *x), *w = calloc((size_t)count + 1, sizeof *w), most = 0;
        m3_values_decode(y->dtype, a, count, x);
        m3_values_decode(y->dtype, b, count, w);
        for (uint64_t i = 0; i < count; i++)
            if (isfinite(w[i])) most = fmax(most, fabs(w[i]));
        for (uint64_t i = 0; i < count; i++) {
            double allowed = bound->absolute + bound->per_element * fabs(w[i]) + bound->per_tensor * most, share = 0;
            if (!m3_dtype_is_float(y->dtype)) allowed = 0;
            if (isnan(w[i]) || isinf(w[i]) || isnan(x[i]))
                share = (isnan(w[i]) && isnan(x[i])) || x[i] == w[i] ? 0 : INFINITY;
            else if (x[i] != w[i])
                share = allowed > 0 ? fabs(x[i] - w[i]) / allowed : INFINITY;
            if (share > worst) worst = share, at[0] = (double)i, at[1] = x[i], at[2] = w[i];
        }
        a += m3_tensor_bytes(y);
        b += m3_tensor_bytes(y);
        free(x);
        free(w);
    }
    return worst;
}

static uint64_t output_bytes(const rig_node *n)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < n->node.out_count; i++) bytes += m3_tensor_bytes(n->out[i]);
    return bytes;
}

/* An input on which output 0 may lie, or -1. */
static int place_for(const rig_node *n)
{
    const m3_op *op = n->node.op;
    if ((op->flags & M3_OP_UPDATES) != 0) return op->update_of(&n->node, 0);
    if ((op->flags & M3_OP_INPLACE) == 0) return -1;
    for (uint32_t i = 0; i < n->node.in_count; i++)
        if (n->in[i] != NULL && n->in[i]->dtype == n->out[0]->dtype &&
            m3_shape_equal(&n->in[i]->shape, &n->out[0]->shape))
            return (int)i;
    return -1;
}

static void check_machine(fixture *f, uint32_t m, const m3_case *c, const rig_node *n, void *const *data,
                          const void *want)
{
    m3_error err = {0};
    void *first = NULL, *other = NULL;
    uint64_t bytes = output_bytes(n);
    double at[3] = {0};
    if (rig_run(&f->cpu[m][0], n, data, 0xff, -1, &first, &err) != M3_OK)
        fail_msg("%s on %s: %s", c->name, isa[m], err.message);
    double share = compare(n, c->bound, first, want, at);
    if (share > 1)
        fail_msg("%s on %s: element %g is %.9g, wanted %.9g: %g times the bound", c->name, isa[m], at[0], at[1], at[2],
                 share);
    /* More threads, another pattern. */
    assert_int_equal(rig_run(&f->cpu[m][1], n, data, 0x3c, -1, &other, &err), M3_OK);
    if (memcmp(first, other, (size_t)bytes) != 0) fail_msg("%s on %s: other bits with more threads", c->name, isa[m]);
    free(other);
    if (place_for(n) >= 0) {
        assert_int_equal(rig_run(&f->cpu[m][1], n, data, 0xff, place_for(n), &other, &err), M3_OK);
        if (memcmp(first, other, (size_t)bytes) != 0) fail_msg("%s on %s: other bits in place", c->name, isa[m]);
        free(other);
    }
    free(first);
}

/* What a core op gives on the reference backend. */
static void *want_core(const m3_case *c, const rig_node *n, void *const *data)
{
    m3_error err = {0};
    void *want = NULL;
    if (rig_run(&all.reference, n, data, 0xff, -1, &want, &err) != M3_OK) fail_msg("%s: %s", c->name, err.message);
    return want;
}

/* What the decomposition of a fused op gives. */
static void *want_fused(const m3_case *c, const rig_node *n, double *const *value)
{
    m3_error err = {0};
    m3_case_graph built;
    interpreter *run = NULL;
    if (m3_case_build(c, NULL, M3_CASE_PLAIN, &built, &err) != M3_OK) fail_msg("%s: %s", c->name, err.message);
    if (interpret_create(built.graph, &run, &err) != M3_OK) fail_msg("%s: %s", c->name, err.message);
    for (uint32_t i = 0; i < built.in_count; i++)
        if (built.x[i] != NULL) interpret_set(run, built.x[i], value[i]);
    if (interpret_run(run, &err) != M3_OK) fail_msg("%s: %s", c->name, err.message);
    unsigned char *want = calloc((size_t)output_bytes(n) + 1, 1), *to = want;
    for (uint32_t k = 0; k < n->node.out_count; k++) {
        const m3_tensor *y = n->out[k];
        m3_values_encode(y->dtype, interpret_get(run, built.node->out[k]), m3_tensor_count(y), to);
        to += m3_tensor_bytes(y);
    }
    interpret_free(run);
    m3_case_graph_free(&built);
    return want;
}

/* Returns whether the backend has a kernel: it must for a core op. */
static bool check_case(const m3_case *c, const m3_op *op)
{
    rig_node n;
    m3_error err = {0};
    rig *first = &all.cpu[0][0];
    double *value[M3_NOTATION_ARRAYS] = {NULL};
    void *data[M3_NOTATION_ARRAYS] = {NULL};
    if (rig_node_make(&n, op, c->inputs, c->attrs, &err) != M3_OK) fail_msg("%s: %s", c->name, err.message);
    if (first->api->supports(first->device, &n.node, &err) != M3_OK) {
        if (op->evaluate != NULL) fail_msg("%s: %s", c->name, err.message);
        return false;
    }
    for (uint32_t i = 0; i < n.node.in_count; i++) {
        if (n.in[i] == NULL) continue;
        uint64_t count = m3_tensor_count(n.in[i]);
        value[i] = calloc((size_t)count + 1, sizeof *value[i]);
        assert_int_equal(m3_values_fill(&n.array[i], SEED, i, value[i], &err), M3_OK);
        data[i] = calloc((size_t)count + 1, m3_dtype_bytes(n.in[i]->dtype));
        m3_values_encode(n.in[i]->dtype, value[i], count, data[i]);
    }
    void *want = op->evaluate != NULL ? want_core(c, &n, data) : want_fused(c, &n, value);
    for (uint32_t m = 0; m < MACHINES; m++)
        if (all.there[m]) check_machine(&all, m, c, &n, data, want);
    free(want);
    for (uint32_t i = 0; i < n.node.in_count; i++) free(value[i]), free(data[i]);
    return true;
}

/* Large enough for several threads, and for the parts that long sums are split into. */
static const m3_bound exact = {0, 0, 0, "moves or chooses"}, near = {1e-6, 4e-6, 0, "some roundings"};
static const m3_bound sum = {2e-5, 0, 2e-5, "f32 sums of some thousand terms"};
static const m3_bound draw = {6e-6, 0, 0, "as conformance has it"};
#define WITH(name, texts, arrays, allowed)                                                                             \
    .layers = M3_CASE_OPS, .op = name, .attrs = texts, .inputs = arrays, .bound = (allowed)
static const m3_case large[] = {
    {WITH("add", "", "f32[150,1,130]; f32[7,130]", &near)},
    {WITH("mul", "", "f32[300,130]; f32[300,1]", &near)},
    {WITH("sub", "", "f32[130]; f32[300,130]", &near)},
    {WITH("exp", "", "f32[50001]", &near)},
    {WITH("where", "", "bool[40,50,1]; f32[40,50,33]; f32[]", &exact)},
    {WITH("where", "", "bool[300,1]; f32[]; f32[300,130]", &exact)},
    {WITH("less", "", "f32[300,130] ties; f32[300,1] ties", &exact)},
    {WITH("cast", "0", "bool[50001]", &exact)},
    {WITH("chain", "1,2; 19000100,21030200,20040000;;", "f32[300,130]; f32[130]; f32[300,1]", &near)},
    {WITH("chain", "0,2; 19000100,21020000,20030100;;", "f32[50001]; f32[50001]", &near)},
    {WITH("transpose", "1,0", "f32[211,309]", &exact)},
    {WITH("transpose", "0,2,1,3", "f32[9,21,5,65]", &exact)},
    {WITH("transpose", "2,0,1", "i32[33,19,70]", &exact)},
    {WITH("broadcast", "5,70,130", "f32[70,1]", &exact)},
    {WITH("slice", "0,3,5; 130,20,130", "f32[130,25,140]", &exact)},
    {WITH("pad", "1,2,3; 40,50,60", "f32[33,44,55]", &exact)},
    {WITH("concat", "1", "f32[70,100]; f32[70,33]; f32[70,257]", &exact)},
    {WITH("iota", "70,300,3; 1", "", &exact)},
    {WITH("reduce_sum", "0; 0", "f32[50001]", &sum)},
    {WITH("reduce_sum", "0; 1", "f32[3001,37]", &sum)},
    {WITH("reduce_sum", "1; 0", "f32[3,3001,37]", &sum)},
    {WITH("reduce_sum", "0; 0", "f32[4,9001]", &sum)},
    {WITH("reduce_sum", "1; 1", "i32[200,301]", &exact)},
    {WITH("reduce_max", "0; 0", "f32[3001,37] special", &exact)},
    {WITH("reduce_max", "1; 0", "f32[301,201] ties", &exact)},
    {WITH("matmul", "0; 0", "f32[3,1,70,65]; f32[2,65,70]", &sum)},
    {WITH("matmul", "0; 1", "f32[2,3,1,4,20,16]; f32[2,1,5,4,30,16]", &sum)},
    {WITH("gather", "0", "f32[301,130]; i32[40,9] ids 301", &exact)},
    {WITH("scatter_add", "301; 0", "i32[3001] ids 301; f32[3001,33]", &sum)},
    {WITH("scatter_add", "2; -1", "i32[3001] ids 2; i32[3001,33]", &exact)},
    {WITH("group_rows", "0", "i32[3001] ids 301; f32[3001,33]", &sum)},
    {WITH("scatter_rows", "", "f32[601,70]; i32[501] distinct 601; f32[501,70]", &exact)},
    {WITH("sort", "", "f32[7,3001] special", &exact)},
    {WITH("sort", "", "i32[3,4097] bits", &exact)},
    {WITH("top_k", "50", "f32[9,3001] ties", &exact)},
    {WITH("philox", "50001; 5", "u32[3]", &exact)},
    {WITH("random_normal", "50001; 5", "u32[3]", &draw)},
    {WITH("philox_part", "50001; 5; 1", "u32[5]", &exact)},
    {WITH("random_normal_part", "7,7004; 5; 7", "u32[5]", &draw)},
    {WITH("dropout_part", "0.3; 4; 5001", "f32[5001,12]; u32[5]", &near)},
    {WITH("relu_grad", "", "f32[50001]; f32[50001]", &exact)},
    {WITH("linear", "0; 1; 1", "f32[3,150,70]; f32[3,90,70]; f32[3,90]; -; -", &sum)},
    {WITH("linear_grad_weight", "0; 1", "f32[3,3001,70]; f32[3,3001,90]", &sum)},
    {WITH("linear_grad_weight", "1; 0", "f32[70,5001]; f32[5001,33]", &sum)},
    {WITH("dropout", "0.3; 4", "f32[50001]; u32[3]", &near)},
    {WITH("layer_norm", "1e-5", "f32[3,151,130]; f32[3,130]; f32[3,130]", &sum)},
    {WITH("layer_norm_grad", "1e-5", "f32[17001,3]; f32[3]; f32[17001,3]", &sum)},
    {WITH("layer_norm_grad", "1e-5", "f32[3,301,70]; f32[3,70]; f32[3,301,70]", &sum)},
    {WITH("masked_softmax", "", "f32[90,4,3,41]; bool[4,1,41] mask", &sum)},
    {WITH("attention", "4", "f32[40,20,128]; f32[40,20,128]; f32[40,20,128]; bool[40,20] mask", &sum)},
    {WITH("attention_grad", "4", "f32[30,20,128]; f32[30,20,128]; f32[30,20,128]; bool[30,20] mask; f32[30,20,128]",
          &sum)},
    {WITH("attention_grad", "2", "f32[60,1,70]; f32[60,20,70]; f32[60,20,70]; bool[60,20]; f32[60,1,70]", &sum)},
    {WITH("gru_cell", "", "f32[301,99]; f32[301,99]; f32[301,33]; bool[301]", &sum)},
    {WITH("gru_cell_grad", "", "f32[301,99]; f32[301,99]; f32[301,33]; bool[301]; f32[301,33]", &sum)},
    {WITH("softmax_cross_entropy", "", "f32[7,20741]; i32[7] ids 20741", &sum)},
    {WITH("softmax_cross_entropy_grad", "", "f32[7,20741]; i32[7] ids 20741; f32[7]", &sum)},
    {WITH("global_norm", "", "f32[50001]; f32[3,5]; f32[8192]", &sum)},
    {WITH("adamw", "0.9; 0.999; 1e-8; 0.01",
          "f32[3] step; f32[] scale; f32[30001]; f32[30001]; f32[30001] positive; f32[30001]; f32[5]; f32[5]; f32[5] "
          "positive; f32[5]",
          &near)},
    {WITH(
        "adamw_rows", "0.9; 0.999; 1e-8; 0.01",
        "f32[3] step; f32[] scale; f32[601,70]; f32[601,70]; f32[601,70] positive; i32[501] distinct 601; f32[501,70]",
        &near)},
};

/* The lines, which take turns with machines and threads here; conformance has the cases by rule. Not in double
 * precision, which the cpu backend lacks by design, and not with 16 bits in the place of f32, for which casts stand in
 * a graph. */
static bool takes_part(const m3_case *c, const m3_op *op)
{
    if (M3_OP_MEMBER(op, halves) != 0 && strstr(c->inputs, "f16") != NULL) return false;
    return (c->layers & M3_CASE_OPS) != 0 && (c->rules & 1u << M3_RULE_LINE) != 0 && strstr(c->inputs, "f64") == NULL;
}

/* One test for each op: of those that the backend has, which are all core ops. */
static void computes(void **state)
{
    const m3_op *op = *state;
    uint32_t cases = 0, kernels = 0;
    for (uint32_t i = 0; i < m3_case_count(); i++) {
        m3_case c;
        m3_error err = {0};
        assert_int_equal(m3_case_at(i, &c, &err), M3_OK);
        if (strcmp(c.op, op->name) != 0 || !takes_part(&c, op)) continue;
        if (m3_op_rules_find(c.op)->room != M3_ROOM_NONE) c.bound = &sum;
        kernels += check_case(&c, op);
        cases++;
    }
    for (size_t i = 0; i < sizeof large / sizeof large[0]; i++) {
        m3_case c = large[i];
        if (strcmp(c.op, op->name) != 0) continue;
        (void)snprintf(c.name, sizeof c.name, "%s(%s) %s", c.op, c.inputs, c.attrs);
        kernels += check_case(&c, op);
    }
    if (cases == 0) fail_msg("%s has no case", op->name);
    if (kernels == 0) skip();
}

int main(void)
{
    struct CMUnitTest tests[128];
    size_t count = 0;
    for (uint32_t i = 0; i < m3_op_count() && count < sizeof tests / sizeof tests[0]; i++)
        tests[count++] = (struct CMUnitTest){m3_op_at(i)->name, computes, NULL, NULL, (void *)(uintptr_t)m3_op_at(i)};
    return _cmocka_run_group_tests("every op computes on the cpu what it means", tests, count, open_all, close_all);
}
