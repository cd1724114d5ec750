/* ops: the case list on every backend of the build, and the gradients of all ops on the reference.
 * A test is one op on one device, or the gradients of one op; it reports every case of it that does not hold.
 * The argument is "gradients", or names devices (named.h).
 * With a variant of products among the options, only the ops that are products run, and with variant=subgroups those
 * whose items join values; with matrices=played only cases of f16. Where Vulkan on a processor is given a GPU's shape
 * and no variant, only attention does: the other kernels of a GPU run without it. Where a driver compiles kernels,
 * which takes most of the time, and under sanitizers only one in FEW of the cases by rule runs, others with other
 * options; `m3bsr conformance --backend NAME` runs them all.
 * Parts: gradients reference cpu opencl opencl,shape=gpu vulkan,validate=yes vulkan,shape=gpu
 * Parts: opencl,variant=clblast opencl,vector=16,variant=rows8 opencl,vector=16,variant=rows12
 * Parts: opencl,vector=16,variant=rows14
 * Parts: opencl,vector=8,variant=rows4 opencl,vector=8,variant=rows6
 * Parts: opencl,shape=gpu,variant=tile8x128 opencl,shape=gpu,variant=tile64x8
 * Parts: vulkan,variant=tile128x128 vulkan,variant=tile64x64r8 vulkan,variant=tile32x64
 * Parts: vulkan,variant=tile8x128 vulkan,variant=tile64x8
 * Parts: vulkan,shape=gpu,lanes=8,units=64,variant=subgroups
 * Parts: vulkan,shape=gpu,lanes=16,units=64,matrices=played,variant=matrices64x64 */
#include "core/base/alloc.h"
#include "core/conformance/cases.h"
#include "core/ops/common/op.h"
#include "tests/support/named.h"

#include <setjmp.h>

#include <cmocka.h>

enum { SEED = 20250812, FEW = 24 };

static struct {
    m3_engine *engine;
    m3_device *reference;
    m3_device *device[NAMED_DEVICES];
    uint32_t count;
    bool products;  /* alone */
    bool attention; /* likewise */
    bool across;    /* likewise ops whose items join values */
    bool f16;       /* cases of it alone */
    bool few;       /* of the cases by rule */
    uint32_t first; /* of FEW */
} with;

typedef struct subject {
    m3_device *device; /* NULL: the gradients */
    const m3_op *op;
    char name[128];
} subject;

static void holds(void **state)
{
    const subject *s = *state;
    uint32_t run = 0, bad = 0;
    for (uint32_t i = 0; i < m3_case_count(); i++) {
        m3_case c;
        m3_case_result result;
        assert_int_equal(m3_case_at(i, &c, NULL), M3_OK);
        if (strcmp(c.op, s->op->name) != 0 || (with.f16 && strstr(c.name, "(f16") == NULL)) continue;
        const bool always = (c.rules & 1u << M3_RULE_LINE) != 0 && !with.across;
        if (with.few && !always && i % FEW != with.first) continue;
        if (s->device == NULL)
            m3_case_run_gradient(NULL, with.reference, NULL, &c, SEED, &result);
        else
            m3_case_run(s->device, with.reference, NULL, &c, SEED, &result);
        if (result.verdict == M3_VERDICT_SKIP) continue;
        run++;
        if (result.verdict == M3_VERDICT_PASS) continue;
        bad++;
        print_error("%s %s: %s\n", c.name, result.verdict == M3_VERDICT_LACKS ? "lacks" : "fails", result.text);
    }
    assert_true(run > 0);
    assert_int_equal(bad, 0);
}

static void open_devices(const char *argument)
{
    m3_error err = {0};
    named n;
    const m3_engine_config config = {.size = M3_STRUCT_SIZE(m3_engine_config, allow_writable_folder),
                                     .plugin_path = M3BSR_BUILD_PLUGIN_DIR,
                                     .threads = 2,
                                     .log_level = M3_LOG_WARN,
                                     .allow_writable_folder = true};
    if (m3_engine_create(&config, &with.engine, &err) != M3_OK ||
        m3_device_open(with.engine, "reference", (m3_span){0}, &with.reference, &err) != M3_OK) {
        print_error("%s: %s\n", err.subject, err.message);
        exit(EXIT_FAILURE);
    }
    if (strcmp(argument, "gradients") == 0) return;
    named_read(&n, argument);
    with.f16 = strstr(argument, "matrices=") != NULL;
    with.across = strstr(argument, "variant=subgroups") != NULL;
    for (uint32_t i = 0; i < n.option_count; i++) with.products |= strcmp(n.option[i].key, "variant") == 0;
    for (uint32_t i = 0; i < n.option_count; i++)
        with.attention |= strcmp(n.option[i].key, "shape") == 0 && strncmp(argument, "vulkan", strlen("vulkan")) == 0;
    const char *sanitized = getenv("SANITIZE"); /* tests/CMakeLists.txt */
    with.few = named_needs_driver(&n) || (sanitized != NULL && sanitized[0] != 0);
    for (const char *at = argument; *at != 0; at++) with.first = (with.first + (unsigned char)*at) % FEW;
    with.count = named_open(&n, with.engine, with.device);
}

static bool is_wanted(const m3_op *op)
{
    static const char *const across[] = {"layer_norm", "masked_softmax", "softmax",
                                         "reduce_",    "global_norm",    "attention"};
    for (size_t i = 0; with.across && i < sizeof across / sizeof across[0]; i++)
        if (strncmp(op->name, across[i], strlen(across[i])) == 0) return true;
    if (with.across) return false;
    if (with.attention && !with.products) return strncmp(op->name, "attention", strlen("attention")) == 0;
    return !with.products || strcmp(op->name, "linear") == 0 || strcmp(op->name, "matmul") == 0;
}

static void close_devices(void)
{
    for (uint32_t i = 0; i < with.count; i++) m3_device_close(with.device[i]);
    m3_device_close(with.reference);
    m3_engine_free(with.engine);
}

static void add(struct CMUnitTest *test, subject *s, m3_device *device, const m3_op *op)
{
    s->device = device;
    s->op = op;
    if (device != NULL)
        (void)snprintf(s->name, sizeof s->name, "%s runs %s", m3_device_name(device), op->name);
    else
        (void)snprintf(s->name, sizeof s->name, "the gradient of %s is its slope", op->name);
    *test = (struct CMUnitTest){s->name, holds, NULL, NULL, s};
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        (void)fprintf(stderr, "usage: %s gradients|BACKEND[,KEY=VALUE]...\n", argv[0]);
        return EXIT_FAILURE;
    }
    open_devices(argv[1]);
    uint32_t ops = m3_op_count(), most = ops * (with.count + 1), count = 0;
    struct CMUnitTest *tests = m3_calloc(most, sizeof *tests);
    subject *subjects = m3_calloc(most, sizeof *subjects);
    if (tests == NULL || subjects == NULL) return EXIT_FAILURE;
    for (uint32_t d = 0; d < with.count; d++)
        for (uint32_t o = 0; o < ops; o++)
            if (is_wanted(m3_op_at(o))) {
                add(&tests[count], &subjects[count], with.device[d], m3_op_at(o));
                count++;
            }
    for (uint32_t o = 0; o < ops && with.count == 0; o++)
        if (m3_op_at(o)->gradient != NULL) {
            add(&tests[count], &subjects[count], NULL, m3_op_at(o));
            count++;
        }
    int failed = _cmocka_run_group_tests(argv[1], tests, count, NULL, NULL);
    m3_free(subjects);
    m3_free(tests);
    close_devices();
    return failed;
}
