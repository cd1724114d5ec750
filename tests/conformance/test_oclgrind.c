/* oclgrind: the kernels of the opencl backend under an interpreter that sees each access to memory: bytes outside a
 * buffer, and two items that touch the same word without a barrier between. (Its search for values that nobody wrote is
 * left off: version 21.10 crashes in it on harmless kernels. The op tests fill memory with NaN for that.)
 * Every tensor is a buffer of its own here, so that nothing but its own bytes lies around it. Of the case list run a
 * few cheap and a few larger cases for every kernel with every set of constants; kernels with planted faults show that
 * faults are seen. Skipped where Oclgrind is not installed.
 * Labels: kernels
 * Parts: opencl,shape=processor opencl,shape=gpu opencl,shape=gpu,vector=1,lanes=64 */
#include "backends/lowering/contract.h"
#include "backends/lowering/program.h"
#include "backends/opencl/device.h"
#include "core/base/alloc.h"
#include "core/conformance/cases.h"
#include "tests/support/backend_rig.h"
#include "tests/support/named.h"

#include <fcntl.h>
#include <unistd.h>

enum { SEED = 20250812, MOST_VARIANTS = 4096, KEY = 1024, LARGE = 40000, DEAR = 400000 /* cost */ };

static struct {
    named names;
    rig r;
    FILE *log; /* what Oclgrind says on stderr, which only there comes at once */
} with;

/* Running a node. */

/* Let stderr go to the log, and back to what it was. */
static int begin_log(void)
{
    (void)fflush(stderr);
    assert_int_equal(ftruncate(fileno(with.log), 0), 0);
    const int kept = dup(STDERR_FILENO);
    assert_true(kept >= 0 && dup2(fileno(with.log), STDERR_FILENO) == STDERR_FILENO);
    return kept;
}

static void end_log(int kept, char *text, size_t bytes)
{
    (void)fflush(stderr);
    assert_int_equal(dup2(kept, STDERR_FILENO), STDERR_FILENO);
    (void)close(kept);
    const ssize_t got = pread(fileno(with.log), text, bytes - 1, 0);
    text[got > 0 ? got : 0] = 0;
}

/* A program of one node, each tensor in a segment of its own. */
typedef struct apart {
    const m3_node *nodes[1];
    m3_place place[RIG_TENSORS];
    m3_segment segment[RIG_TENSORS];
    m3_program program;
} apart;

static void make_apart(apart *a, const rig_node *n)
{
    *a = (apart){.nodes = {&n->node}};
    for (uint32_t i = 0; i < n->tensors; i++) {
        const uint64_t bytes = m3_tensor_bytes(&n->tensor[i]);
        a->place[i].segment = i;
        a->segment[i] = (m3_segment){M3_SEGMENT_STORE, bytes > 0 ? bytes : 4};
    }
    a->program = (m3_program){sizeof a->program, "test", 1, a->nodes, n->tensors, a->place, n->tensors, a->segment};
}

static m3_status upload_inputs(const rig_node *n, m3_buffer *const *buffers, uint64_t *value, m3_error *err)
{
    const rig *r = &with.r;
    m3_status st = M3_OK;
    for (uint32_t i = 0; i < n->node.in_count && st == M3_OK; i++) {
        const uint64_t count = n->in[i] == NULL ? 0 : m3_tensor_count(n->in[i]);
        if (count == 0) continue;
        double *values = calloc(count, sizeof *values);
        void *bytes = calloc(count, sizeof(double));
        assert_true(values != NULL && bytes != NULL);
        st = m3_values_fill(&n->array[i], SEED, i, values, err);
        m3_values_encode(n->in[i]->dtype, values, count, bytes);
        if (st == M3_OK)
            st = r->api->upload(r->device, buffers[n->in[i]->id], 0, bytes, m3_tensor_bytes(n->in[i]), value, err);
        if (st == M3_OK) st = r->api->wait(r->device, *value, UINT64_MAX, err);
        free(values);
        free(bytes);
    }
    return st;
}

/* text: what Oclgrind reports, "" when nothing. */
static void run_apart(const rig_node *n, char *text, size_t bytes)
{
    const rig *r = &with.r;
    apart a;
    m3_buffer *buffers[RIG_TENSORS] = {NULL};
    m3_exec_impl *exec = NULL;
    uint64_t value = 0;
    m3_error err = {0};
    m3_status st = M3_OK;
    make_apart(&a, n);
    const int kept = begin_log();
    for (uint32_t i = 0; i < n->tensors && st == M3_OK; i++)
        st = r->api->buffer_create(r->device, a.segment[i].bytes, M3_BUFFER_DEVICE | M3_BUFFER_UPLOAD, &buffers[i],
                                   &err);
    if (st == M3_OK) st = upload_inputs(n, buffers, &value, &err);
    if (st == M3_OK) st = r->api->compile(r->device, &a.program, buffers, &exec, &err);
    if (st == M3_OK) st = r->api->submit(r->device, exec, &value, &err);
    if (st == M3_OK) st = r->api->wait(r->device, value, UINT64_MAX, &err);
    r->api->exec_free(r->device, exec);
    for (uint32_t i = 0; i < n->tensors; i++) r->api->buffer_free(r->device, buffers[i]);
    end_log(kept, text, bytes);
    if (st != M3_OK) fail_msg("%s: %s %s", err.subject, err.message, text);
}

/* Choosing cases. */

typedef struct choice {
    m3_case c;
    uint64_t cost; /* elements read and written, and operations */
    bool chosen;
} choice;

/* Kernels with their constants, and how many of the chosen cases launch them. */
static struct {
    char *key[MOST_VARIANTS];
    uint32_t cases[MOST_VARIANTS];
    uint32_t count;
} variants;

static uint32_t *cases_of(const char *key)
{
    for (uint32_t i = 0; i < variants.count; i++)
        if (strcmp(variants.key[i], key) == 0) return &variants.cases[i];
    assert_true(variants.count < MOST_VARIANTS);
    const uint32_t at = variants.count++;
    variants.key[at] = strdup(key);
    assert_non_null(variants.key[at]);
    return &variants.cases[at];
}

static void name_variant(const lower_dispatch *d, char key[KEY])
{
    size_t at = (size_t)snprintf(key, KEY, "%s %s", d->source, d->entry);
    for (uint32_t i = 0; i < d->constant_count; i++)
        at += (size_t)snprintf(key + at, KEY - at, " %s=%d", d->constants[i].name, (int)d->constants[i].value);
    assert_true(at < KEY);
}

static void make_node(const m3_case *c, rig_node *n)
{
    m3_error err = {0};
    if (rig_node_make(n, m3_op_find(c->op), c->inputs, c->attrs, &err) != M3_OK) fail_msg("%s", err.message);
}

/* Does the case launch a variant that fewer than `enough` cases do? Then it is counted for all that it launches. */
static bool is_wanted(const lower_traits *traits, const m3_case *c, uint32_t enough)
{
    rig_node n;
    apart a;
    lower_list list = {0};
    m3_error err = {0};
    char key[KEY];
    bool wanted = false;
    make_node(c, &n);
    make_apart(&a, &n);
    const m3_status st = lower_program(&list, &with.r.host, traits, &a.program, with.r.device->alignment, &err);
    if (st == M3_ERR_UNSUPPORTED && n.node.op->decompose != NULL) { /* the ops it is made of have cases */
        lower_list_fini(&list);
        return false;
    }
    if (st != M3_OK) fail_msg("%s: %s", c->name, err.message);
    for (uint32_t i = 0; i < list.count; i++) {
        name_variant(&list.dispatches[i], key);
        if (*cases_of(key) < enough) wanted = true;
    }
    for (uint32_t i = 0; i < list.count && wanted; i++) {
        name_variant(&list.dispatches[i], key);
        ++*cases_of(key);
    }
    lower_list_fini(&list);
    return wanted;
}

static uint64_t cost_of(const m3_case *c)
{
    rig_node n;
    make_node(c, &n);
    uint64_t cost = n.node.op->flops != NULL ? n.node.op->flops(&n.node) : 0;
    for (uint32_t i = 0; i < n.tensors; i++) cost += m3_tensor_count(&n.tensor[i]);
    return cost;
}

static int by_cost(const void *a, const void *b)
{
    const choice *x = a, *y = b;
    return x->cost < y->cost ? -1 : x->cost > y->cost ? 1 : strcmp(x->c.name, y->c.name);
}

/* The cases chosen by hand that have nodes to run, cheap ones first: they reach every kernel. */
static choice *list_cases(uint32_t *count)
{
    choice *all = m3_calloc(m3_case_count(), sizeof *all);
    assert_non_null(all);
    *count = 0;
    for (uint32_t i = 0; i < m3_case_count(); i++) {
        choice *next = &all[*count];
        assert_int_equal(m3_case_at(i, &next->c, NULL), M3_OK);
        if ((next->c.layers & M3_CASE_OPS) == 0 || (next->c.rules & 1u << M3_RULE_LINE) == 0) continue;
        if ((m3_op_find(next->c.op)->flags & M3_OP_ALIAS) != 0) continue;
        next->cost = cost_of(&next->c);
        ++*count;
    }
    qsort(all, *count, sizeof *all, by_cost);
    return all;
}

/* Cheap cases first, then the largest ones that are not too dear. */
static void choose_cases(choice *all, uint32_t count)
{
    enum { CHEAP = 2, ALL = 4 };
    const lower_traits *traits = &with.r.device->traits;
    for (uint32_t i = 0; i < count && all[i].cost <= DEAR; i++) all[i].chosen = is_wanted(traits, &all[i].c, CHEAP);
    for (uint32_t i = count; i-- > 0;)
        if (all[i].cost <= LARGE && !all[i].chosen) all[i].chosen = is_wanted(traits, &all[i].c, ALL);
}

static void is_clean(void **state)
{
    const choice *chosen = *state;
    char text[4096];
    rig_node n;
    make_node(&chosen->c, &n);
    run_apart(&n, text, sizeof text);
    if (text[0] != 0) fail_msg("Oclgrind reports: %s", text);
}

/* Every kernel is reached. */

static void add_entries(uint32_t lanes, uint32_t vector, uint32_t group, const choice *all, uint32_t count)
{
    lower_traits traits = with.r.device->traits;
    traits.kind = lanes == 1 ? LOWER_PROCESSOR : LOWER_GPU;
    traits.lanes = lanes;
    traits.vector = vector;
    traits.group = group;
    for (uint32_t i = 0; i < count; i++)
        if (all[i].cost <= DEAR) (void)is_wanted(&traits, &all[i].c, 1);
}

/* Is there a variant of the entry? */
static bool is_reached(const char *source, const char *entry)
{
    char start[256];
    const int length = snprintf(start, sizeof start, "%s %s", source, entry);
    for (uint32_t i = 0; i < variants.count; i++)
        if (strncmp(variants.key[i], start, (size_t)length) == 0 &&
            (variants.key[i][length] == ' ' || variants.key[i][length] == 0))
            return true;
    return false;
}

static const struct entry {
    const char *source, *entry, *where;
} entries[] = {
#define ROW(source, entry, where) {#source, #entry, #where},
    CONTRACT_ENTRIES(ROW)
#undef ROW
};

static void every_kernel_is_launched_by_some_shape(void **state)
{
    (void)state;
    uint32_t count = 0, missing = 0;
    choice *all = list_cases(&count);
    add_entries(1, 16, 16, all, count);
    add_entries(32, 4, 64, all, count);
    add_entries(64, 1, 64, all, count);
    m3_free(all);
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++) {
        const struct entry *e = &entries[i];
        if (strcmp(e->source, "measure") == 0) continue; /* of no node */
        if (strcmp(e->where, "both") != 0 && strcmp(e->where, "opencl") != 0 && strcmp(e->where, "processor") != 0)
            continue;
        if (is_reached(e->source, e->entry)) continue;
        print_error("no case launches %s of %s.cl\n", e->entry, e->source);
        missing++;
    }
    assert_int_equal(missing, 0);
}

/* Planted faults. */

typedef struct planted {
    const char *name, *code, *says; /* says "": nothing may be reported */
} planted;

#define KERNEL(body)                                                                                                   \
    "__kernel void planted(__global const float *x, __global float *y, uint count)\n"                                  \
    "{\n"                                                                                                              \
    "    __local float shared[16];\n"                                                                                  \
    "    const uint i = get_global_id(0), l = get_local_id(0);\n" body "}\n"
#define SHARE "    shared[l] = i < count ? x[i] : 0.0f;\n"
#define TAKE  "    if (i < count) y[i] = shared[(l + 1) % 16];\n"

static const planted faults[] = {
    {"a barrier between writers and readers is fine", KERNEL(SHARE "    barrier(CLK_LOCAL_MEM_FENCE);\n" TAKE), ""},
    {"a missing barrier is a race", KERNEL(SHARE TAKE), "data race"},
    {"items of two groups that write the same word race", KERNEL("    if (i < count) y[i / 32] = x[i];\n"),
     "data race"},
    {"a read past the end of a buffer is seen", KERNEL("    if (i < count) y[i] = x[i + 1];\n"), "Invalid read"},
    {"a write past the end of a buffer is seen", KERNEL("    if (i <= count) y[i] = 1.0f;\n"), "Invalid write"},
    {"a read past the end of local memory is seen",
     KERNEL(SHARE "    barrier(CLK_LOCAL_MEM_FENCE);\n    if (i < count) y[i] = shared[l + 1];\n"), "Invalid read"},
};
enum { FAULTS = sizeof faults / sizeof faults[0] };

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    (void)err;
    *out = (m3_tensor_desc){node->in[0]->dtype, node->in[0]->shape};
    return M3_OK;
}

static void is_seen(void **state)
{
    const planted *p = *state;
    const m3_kernel_desc desc = {.size = sizeof desc,
                                 .language = "opencl-c",
                                 .code = p->code,
                                 .code_bytes = strlen(p->code) + 1,
                                 .entry = "planted",
                                 .local = {16, 1, 1},
                                 .grid_divide = {1, 0, 0}};
    const m3_op op = {.size = M3_STRUCT_SIZE(m3_op, zero_gradient),
                      .name = p->name, /* the backend keeps one program for each op */
                      .min_inputs = 1,
                      .max_inputs = 1,
                      .outputs = 1,
                      .infer = infer,
                      .kernels = {1, sizeof desc, &desc}};
    char text[4096];
    rig_node n;
    m3_error err = {0};
    assert_int_equal(rig_node_make(&n, &op, "f32[40]", "", &err), M3_OK);
    run_apart(&n, text, sizeof text);
    if (p->says[0] == 0 ? text[0] != 0 : strstr(text, p->says) == NULL)
        fail_msg("'%s' and not '%s'", text, p->says[0] == 0 ? "nothing" : p->says);
}

/* The group. */

/* The loader takes Oclgrind for the only platform, and Oclgrind takes its options from the environment. */
static void choose_oclgrind(void)
{
    if (getenv("OCLGRIND_VENDORS") == NULL) {
        (void)printf("skipped: Oclgrind was not found when the build was configured\n");
        exit(NAMED_SKIPPED);
    }
    assert_int_equal(setenv("OCL_ICD_VENDORS", getenv("OCLGRIND_VENDORS"), 1), 0);
    assert_int_equal(setenv("OCLGRIND_DATA_RACES", "1", 1), 0);
    assert_int_equal(setenv("OCLGRIND_CHECK_API", "1", 1), 0);
    /* It counts the local memory of all kernels of a source for each of them. */
    assert_int_equal(setenv("OCLGRIND_LOCAL_MEM_SIZE", "65536", 1), 0);
    with.log = tmpfile();
    assert_non_null(with.log);
    assert_int_equal(fcntl(fileno(with.log), F_SETFL, O_APPEND), 0); /* it is emptied again and again */
}

static void open_device(const char *argument)
{
    m3_error err = {0};
    named_read(&with.names, argument);
    if (rig_open(&with.r, with.names.backend, 1, with.names.option, with.names.option_count, &err) != M3_OK) {
        print_error("%s: %s\n", err.subject, err.message);
        exit(EXIT_FAILURE);
    }
    if (strstr(with.r.device->name, "Oclgrind") != NULL) return;
    print_error("the device is '%s' and not Oclgrind's\n", with.r.device->name);
    exit(EXIT_FAILURE);
}

int main(int argc, char **argv)
{
    uint32_t cases = 0;
    size_t count = 0;
    if (argc != 2) {
        (void)fprintf(stderr, "usage: %s opencl[,KEY=VALUE]...\n", argv[0]);
        return EXIT_FAILURE;
    }
    choose_oclgrind();
    open_device(argv[1]);
    choice *all = list_cases(&cases);
    choose_cases(all, cases);
    struct CMUnitTest *tests = m3_calloc((size_t)cases + FAULTS + 1, sizeof *tests);
    assert_non_null(tests);
    for (size_t i = 0; i < FAULTS; i++)
        tests[count++] = (struct CMUnitTest){faults[i].name, is_seen, NULL, NULL, (void *)(uintptr_t)&faults[i]};
    for (uint32_t i = 0; i < cases; i++)
        if (all[i].chosen) tests[count++] = (struct CMUnitTest){all[i].c.name, is_clean, NULL, NULL, &all[i]};
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(every_kernel_is_launched_by_some_shape);
    const int failed = _cmocka_run_group_tests(argv[1], tests, count, NULL, NULL);
    m3_free(tests);
    m3_free(all);
    for (uint32_t i = 0; i < variants.count; i++) free(variants.key[i]);
    rig_close(&with.r);
    (void)fclose(with.log);
    return failed;
}
