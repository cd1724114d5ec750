/* What lies under a mask does not count on the cpu backend: NaN there gives the same bits as ones, on each set of
 * instructions, and masked keys and values have gradients of exactly 0. */
#include <math.h>

#include "tests/support/backend_rig.h"

enum { MACHINES = 4, SEED = 20250817 };

static const char *const isa[MACHINES] = {"portable", "avx2", "avx512", "avx512bf16"};

/* Input `mask` says where the inputs of `under`, a set of bits, may hold anything: it is their shape, or that without
 * the last axis. */
static const struct row {
    const char *name, *op, *attrs, *inputs;
    uint32_t mask, under;
} rows[] = {
    {"softmax leaves masked entries out", "masked_softmax", "", "f32[9,37]; bool[9,37]", 1, 1},
    {"attention leaves masked keys out", "attention", "2", "f32[3,20,64]; f32[3,20,64]; f32[3,20,64]; bool[3,20] mask",
     3, 6},
    {"attention leaves masked keys of odd width out", "attention", "3",
     "f32[3,35,21]; f32[3,23,21]; f32[3,23,21]; bool[3,23]", 3, 6},
    {"attention of one query leaves masked keys out", "attention", "2",
     "f32[3,1,64]; f32[3,20,64]; f32[3,20,64]; bool[3,20]", 3, 6},
    {"attention's gradient leaves masked keys out", "attention_grad", "2",
     "f32[3,20,64]; f32[3,20,64]; f32[3,20,64]; bool[3,20] mask; f32[3,20,64]", 3, 6},
    {"attention's gradient of odd width leaves masked keys out", "attention_grad", "3",
     "f32[3,35,21]; f32[3,23,21]; f32[3,23,21]; bool[3,23]; f32[3,35,21]", 3, 6},
    {"attention's gradient of one query leaves masked keys out", "attention_grad", "2",
     "f32[3,1,64]; f32[3,20,64]; f32[3,20,64]; bool[3,20]; f32[3,1,64]", 3, 6},
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static void cover(const rig_node *n, const struct row *r, void *const *data, float value)
{
    const uint8_t *mask = data[r->mask];
    for (uint32_t i = 0; i < n->node.in_count; i++) {
        if ((r->under >> i & 1u) == 0) continue;
        uint64_t count = m3_tensor_count(n->in[i]), each = count / m3_tensor_count(n->in[r->mask]);
        for (uint64_t k = 0; k < count; k++)
            if (mask[k / each] == 0) ((float *)data[i])[k] = value;
    }
}

/* Outputs 1 and 2 of attention_grad: dk and dv. */
static void check_zeros(const rig_node *n, const uint8_t *mask, const float *y)
{
    for (uint32_t k = 0; k < n->node.out_count; k++) {
        uint64_t count = m3_tensor_count(n->out[k]), each = m3_tensor_count(n->in[1]) / m3_tensor_count(n->in[3]);
        for (uint64_t i = 0; i < count && k > 0; i++)
            if (mask[i / each] == 0) assert_true(y[i] == 0);
        y += count;
    }
}

static void check(rig *r, const struct row *row, const rig_node *n, void *const *data)
{
    m3_error err = {0};
    uint64_t bytes = 0;
    void *ones = NULL, *nans = NULL;
    for (uint32_t i = 0; i < n->node.out_count; i++) bytes += m3_tensor_bytes(n->out[i]);
    cover(n, row, data, 1.0f);
    assert_int_equal(rig_run(r, n, data, 0xff, -1, &ones, &err), M3_OK);
    cover(n, row, data, NAN);
    assert_int_equal(rig_run(r, n, data, 0xff, -1, &nans, &err), M3_OK);
    assert_memory_equal(ones, nans, (size_t)bytes);
    for (uint64_t i = 0; i < bytes / sizeof(float); i++) assert_true(isfinite(((const float *)nans)[i]));
    if (strcmp(row->op, "attention_grad") == 0) check_zeros(n, data[row->mask], nans);
    free(ones);
    free(nans);
}

static void leaves_out(void **state)
{
    const struct row *row = *state;
    rig_node n;
    m3_error err = {0};
    void *data[M3_NOTATION_ARRAYS] = {NULL};
    if (rig_node_make(&n, m3_op_find(row->op), row->inputs, row->attrs, &err) != M3_OK) fail_msg("%s", err.message);
    for (uint32_t i = 0; i < n.node.in_count; i++) {
        uint64_t count = m3_tensor_count(n.in[i]);
        double *value = calloc((size_t)count, sizeof *value);
        data[i] = calloc((size_t)count, m3_dtype_bytes(n.in[i]->dtype));
        assert_int_equal(m3_values_fill(&n.array[i], SEED, i, value, &err), M3_OK);
        m3_values_encode(n.in[i]->dtype, value, count, data[i]);
        free(value);
    }
    for (uint32_t m = 0; m < MACHINES; m++) {
        rig r;
        m3_option option = {"isa", isa[m]};
        m3_status st = rig_open(&r, "cpu", 2, &option, 1, &err);
        if (st != M3_OK && st != M3_ERR_UNSUPPORTED) fail_msg("%s", err.message);
        if (st == M3_OK) check(&r, row, &n, data);
        rig_close(&r);
    }
    for (uint32_t i = 0; i < n.node.in_count; i++) free(data[i]);
}

int main(void)
{
    struct CMUnitTest tests[ROWS];
    for (size_t i = 0; i < ROWS; i++) {
        union {
            const struct row *row;
            void *state;
        } link = {&rows[i]};
        tests[i] = (struct CMUnitTest){rows[i].name, leaves_out, NULL, NULL, link.state};
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
