/* How the items of a group join their values: by subgroups or through shared memory, as the device's subgroups, the
 * group's size and the tuning say. No device is needed. */
#include "backends/lowering/across.h"
#include "backends/lowering/program.h"
#include "backends/lowering/tune.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void *allocate(void *user, size_t count, size_t size)
{
    (void)user;
    return calloc(count, size);
}

static void release(void *user, void *block)
{
    (void)user;
    free(block);
}

static const m3_host host = {.size = sizeof(m3_host), .allocate = allocate, .release = release};

static const lower_traits card = {.vector = 1,
                                  .group = 256,
                                  .largest_group = 1024,
                                  .largest_count = {65535, 65535, 65535},
                                  .units = 80,
                                  .local_bytes = 48 << 10,
                                  .largest_binding = 1 << 30};

static const struct row {
    const char *name;
    lower_subgroups subgroups;
    uint32_t lanes;
    lower_kind kind;
    const char *tuned, *variant;
    int32_t want;      /* constant SUBGROUP */
    uint32_t variants; /* to measure */
    const char *first; /* of them */
} rows[] = {
    {"a device without subgroups shares", {0, 0, 0}, 32, LOWER_GPU, NULL, NULL, 0, 0, NULL},
    {"one subgroup that is the group exchanges", {32, 32, 32}, 32, LOWER_GPU, NULL, NULL, 32, 2, "subgroups"},
    {"several of a group share until they were measured", {8, 8, 32}, 32, LOWER_GPU, NULL, NULL, 0, 2, "shared"},
    {"measured, they exchange", {8, 8, 32}, 32, LOWER_GPU, "subgroups", NULL, 8, 2, "shared"},
    {"measured, one subgroup shares", {32, 32, 32}, 32, LOWER_GPU, "shared", NULL, 0, 2, "subgroups"},
    {"what is demanded is above what was measured", {4, 4, 32}, 32, LOWER_GPU, "shared", "subgroups", 4, 2, "shared"},
    {"another variant is none of theirs", {128, 64, 32}, 128, LOWER_GPU, "tile64x64", NULL, 128, 2, "subgroups"},
    {"a smaller group has a smaller subgroup", {64, 32, 32}, 32, LOWER_GPU, NULL, NULL, 32, 2, "subgroups"},
    {"if there is one", {64, 64, 32}, 32, LOWER_GPU, NULL, "subgroups", 0, 0, NULL},
    {"a group has no more subgroups than it may", {4, 4, 2}, 32, LOWER_GPU, NULL, "subgroups", 0, 0, NULL},
    {"an item alone has nobody to exchange with", {8, 1, 32}, 1, LOWER_GPU, NULL, "subgroups", 0, 0, NULL},
    {"a processor has none", {0, 0, 0}, 1, LOWER_PROCESSOR, NULL, "subgroups", 0, 0, NULL},
};

/* softmax_cross_entropy(x [rows, length]). */
typedef struct loss {
    m3_op op;
    m3_tensor tensor[3];
    m3_tensor *in[2], *out[1];
    m3_node node;
    const m3_node *nodes[1];
    m3_place places[3];
    m3_segment segment;
    m3_program program;
} loss;

static void loss_init(loss *p)
{
    static const m3_shape shape[3] = {{2, {1000, 60}}, {1, {1000}}, {1, {1000}}};
    *p = (loss){.op = {.size = sizeof(m3_op), .name = "softmax_cross_entropy"}};
    for (uint32_t i = 0; i < 3; i++) {
        p->tensor[i] =
            (m3_tensor){.size = sizeof(m3_tensor), .id = i, .dtype = i == 1 ? M3_I32 : M3_F32, .shape = shape[i]};
        p->places[i] = (m3_place){0, p->segment.bytes};
        p->segment.bytes += (m3_tensor_bytes(&p->tensor[i]) + 255) / 256 * 256;
    }
    p->in[0] = &p->tensor[0];
    p->in[1] = &p->tensor[1];
    p->out[0] = &p->tensor[2];
    p->node = (m3_node){
        .size = sizeof(m3_node), .op = &p->op, .scope = "", .in_count = 2, .in = p->in, .out_count = 1, .out = p->out};
    p->nodes[0] = &p->node;
    p->program = (m3_program){.size = sizeof(m3_program),
                              .name = "test",
                              .node_count = 1,
                              .nodes = p->nodes,
                              .tensor_count = 3,
                              .places = p->places,
                              .segment_count = 1,
                              .segments = &p->segment};
}

static int32_t constant(const lower_dispatch *d, const char *name)
{
    for (uint32_t i = 0; i < d->constant_count; i++)
        if (strcmp(d->constants[i].name, name) == 0) return d->constants[i].value;
    fail_msg("%s has no constant %s", d->entry, name);
    return 0;
}

static void joins(void **state)
{
    const struct row *row = *state;
    lower_traits traits = card;
    char class_text[LOWER_CLASS_BYTES];
    const char *names[LOWER_MAX_VARIANTS];
    lower_list list = {0};
    lower_tuning *t = NULL;
    m3_error err = {0};
    loss p;
    loss_init(&p);
    traits.subgroups = row->subgroups;
    traits.lanes = row->lanes;
    traits.kind = row->kind;
    const uint32_t count = lower_variants(&traits, &p.node, class_text, names);
    assert_int_equal(count, row->variants);
    if (count > 0) {
        assert_string_equal(names[0], row->first);
        assert_string_equal(class_text, "across.softmax_cross_entropy.r1024.l64.r1.l1024");
    }
    assert_int_equal(lower_tuning_create(&host, "k", &t, &err), M3_OK);
    if (row->tuned != NULL) assert_int_equal(lower_tuning_put(t, class_text, row->tuned, 1, &err), M3_OK);
    traits.tuning = t;
    traits.variant = row->variant != NULL ? lower_variant_named(row->variant) : NULL;
    assert_int_equal(lower_program(&list, &host, &traits, &p.program, 256, &err), M3_OK);
    assert_int_equal(list.count, 1);
    assert_int_equal(constant(&list.dispatches[0], "LANES"), row->lanes);
    assert_int_equal(constant(&list.dispatches[0], "SUBGROUP"), row->want);
    lower_list_fini(&list);
    lower_tuning_free(t);
}

static void a_device_that_is_simulated_shares(void **state)
{
    lower_traits traits = card;
    char class_text[LOWER_CLASS_BYTES];
    const char *names[LOWER_MAX_VARIANTS];
    loss p;
    (void)state;
    loss_init(&p);
    traits.subgroups = (lower_subgroups){8, 8, 32};
    assert_int_equal(lower_across_variants(&traits, &p.node, 8, class_text, names), 2);
    traits.kind = LOWER_SIMULATED_GPU;
    assert_int_equal(lower_across_variants(&traits, &p.node, 8, class_text, names), 0);
}

int main(void)
{
    enum { ROWS = sizeof rows / sizeof rows[0] };
    struct CMUnitTest tests[ROWS + 1];
    for (size_t i = 0; i < ROWS; i++)
        tests[i] = (struct CMUnitTest){rows[i].name, joins, NULL, NULL, (void *)(uintptr_t)&rows[i]};
    tests[ROWS] = (struct CMUnitTest)cmocka_unit_test(a_device_that_is_simulated_shares);
    return _cmocka_run_group_tests("lower_across", tests, ROWS + 1, NULL, NULL);
}
