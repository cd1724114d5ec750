/* custom: a custom op is compared by the cases that its plugin declares; what is wrong in it is found and named.
 * Parts: cpu opencl vulkan */
#include "m3bsr/conformance.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct {
    m3_engine *engine;
    m3_device *device, *reference;
    const char *part; /* the backend that this part is for */
    bool left_out;    /* a warning named the device that cannot be opened */
} with;

static const struct row {
    const char *name, *op;
    bool gradients;
    const char *part; /* NULL: all */
    m3_verdict want;
    const char *says;
} rows[] = {
    {"what is right passes", "none", false, NULL, M3_VERDICT_PASS, ""},
    {"so does its gradient", "none", true, NULL, M3_VERDICT_PASS, ""},
    {"a decomposition alone says what is wanted of kernels", "kernels_only", false, NULL, M3_VERDICT_PASS, ""},
    {"a wrong gradient is found", "gradient", true, NULL, M3_VERDICT_FAIL, "d loss / d in0["},
    {"a wrong kernel in C is found", "c", false, NULL, M3_VERDICT_FAIL,
     "on cpu:0, by the kernel for it: as it is: out0[3] is "},
    {"a wrong kernel in OpenCL C is found", "opencl", false, "opencl", M3_VERDICT_FAIL,
     "on opencl:0, by the kernel for it: as it is: out0["},
    {"a wrong kernel in SPIR-V is found", "spirv", false, "vulkan", M3_VERDICT_FAIL,
     "on vulkan:0, by the kernel for it: as it is: out0["},
    {"a wrong decomposition is found", "decomposition", false, NULL, M3_VERDICT_FAIL,
     "evaluate and decompose differ, both in double precision: out0["},
    {"a case that cannot be read is a failure", "unreadable", false, NULL, M3_VERDICT_FAIL, "'f32[2,' is no array"},
    {"a case that is too long is a failure", "long(case 1)", false, NULL, M3_VERDICT_FAIL, "is too long to be run"},
    {"and the others run", "long(f32[2])", false, NULL, M3_VERDICT_PASS, ""},
    {"an op without cases is no pass", "silent", false, NULL, M3_VERDICT_LACKS,
     "has no cases, so nothing of broken_op.silent was compared"},
};
enum { ROWS = sizeof rows / sizeof rows[0] };

typedef struct seen {
    const struct row *r;
    uint32_t run, wanted, native;
    char last[1024];
} seen;

static void hear(void *user, const m3_case_report *report)
{
    seen *s = user;
    s->run++;
    s->native += report->native;
    s->wanted += report->verdict == s->r->want && strstr(report->text, s->r->says) != NULL;
    if (report->verdict != M3_VERDICT_PASS)
        (void)snprintf(s->last, sizeof s->last, "%.300s: %.600s", report->name, report->text);
}

static void is_found(void **state)
{
    const struct row *r = *state;
    seen s = {.r = r};
    char pattern[64];
    m3_error err = {0};
    m3_cases_report report;
    const m3_cases_options options = {.size = M3_STRUCT_SIZE(m3_cases_options, user),
                                      .gradients = r->gradients,
                                      .pattern = pattern,
                                      .seed = 1,
                                      .done = hear,
                                      .user = &s};
    if (r->part != NULL && strcmp(r->part, with.part) != 0) skip();
    (void)snprintf(pattern, sizeof pattern, "broken_op.%s*", r->op);
    if (m3_conformance_cases(with.device, with.reference, &options, &report, &err) != M3_OK)
        fail_msg("%s", err.message);
    if (r->want == M3_VERDICT_PASS ? s.wanted != s.run : s.wanted == 0)
        fail_msg("%u of %u: %s", s.wanted, s.run, s.last);
    assert_true(s.run > 0);
    /* Without .evaluate the kernel alone can be compared, and must have run. */
    if (strcmp(r->op, "kernels_only") == 0) assert_int_equal(s.native, s.run);
}

static void listen(void *user, m3_log_level level, const char *line)
{
    (void)user;
    const char *said =
        strstr(line, "not compared on closed_device:0, which cannot be opened: is in use by somebody else");
    with.left_out = with.left_out || (level == M3_LOG_WARN && said != NULL);
}

/* After the others, which looked for devices. */
static void a_device_that_cannot_be_opened_is_told(void **state)
{
    (void)state;
    assert_true(with.left_out);
}

int main(int argc, char **argv)
{
    struct CMUnitTest tests[ROWS + 1];
    m3_error err = {0};
    const m3_engine_config config = {.size = M3_STRUCT_SIZE(m3_engine_config, allow_writable_folder),
                                     .plugin_path = M3BSR_BUILD_PLUGIN_DIR ":" M3BSR_TEST_PLUGIN_DIR
                                                                           "/broken_op.so:" M3BSR_TEST_PLUGIN_DIR
                                                                           "/closed_device.so",
                                     .threads = 2,
                                     .log = listen,
                                     .log_level = M3_LOG_WARN,
                                     .allow_writable_folder = true};
    with.part = argc > 1 ? argv[1] : "cpu";
    if (m3_engine_create(&config, &with.engine, &err) != M3_OK ||
        m3_device_open(with.engine, "reference", (m3_span){0}, &with.reference, &err) != M3_OK) {
        print_error("%s: %s\n", err.subject, err.message);
        return 1;
    }
    /* The kernel in C is the processor's even where another is checked. */
    if (m3_device_open(with.engine, with.part, (m3_span){0}, &with.device, &err) != M3_OK) {
        print_error("%s: %s\n", err.subject, err.message);
        return strcmp(with.part, "cpu") != 0 ? 77 : 1;
    }
    for (size_t i = 0; i < ROWS; i++)
        tests[i] = (struct CMUnitTest){rows[i].name, is_found, NULL, NULL, (void *)(uintptr_t)&rows[i]};
    tests[ROWS] = (struct CMUnitTest)cmocka_unit_test(a_device_that_cannot_be_opened_is_told);
    int failed = cmocka_run_group_tests_name("conformance/custom", tests, NULL, NULL);
    m3_device_close(with.device);
    m3_device_close(with.reference);
    m3_engine_free(with.engine);
    return failed;
}
