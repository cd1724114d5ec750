/* modules: each encoder and expert that is broken on purpose fails by the check that is meant, and what is right
 * passes. */
#include "core/base/alloc.h"
#include "m3bsr/conformance.h"

#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

static struct {
    m3_engine *engine;
    m3_device *device, *reference;
} with;

/* A fault, the check that is to name it, and a part of what it is to say. Others that it may also fail stand in `also`.
 */
typedef struct row {
    const char *module, *fault, *check, *also, *says;
} row;

static const row rows[] = {
    {"expert.broken_expert", "fault=not_zero", "empty", "", "wanted exactly 0 for a sequence without a valid position"},
    {"expert.broken_expert", "fault=not_zero_if_filled", "empty", "",
     "with numbers at its positions: wanted exactly 0"},
    {"expert.broken_expert", "fault=reads_padding", "padding", "", "with other numbers at padded positions: wanted y["},
    {"expert.broken_expert", "fault=parameters_detached", "trains", "", "wanted a gradient for 'body.in.weight'"},
    {"expert.broken_expert", "fault=input_detached", "trains", "", "wanted a gradient for 'x, its input'"},
    {"expert.broken_expert", "fault=one_times_zero", "trains", "", "wanted a gradient for 'never'"},
    {"expert.broken_expert", "fault=unused", "used", "", "came 'more0' [4] without one"},
    {"expert.broken_expert", "fault=renamed", "names", "", "in the next build (parameter 0)"},
    {"expert.broken_expert", "fault=reshaped", "names", "", "in every build, came ["},
    {"expert.broken_expert", "fault=missing_pop", "scope", "", "came 1 scope still open after build"},
    {"expert.broken_expert", "fault=extra_pop", "scope", "", "more pops than pushes"},
    {"expert.broken_expert", "fault=too_long", "result", "",
     "wanted f32 [2, 3, 8] for x [2, 3, 5, 8], came f32 [2, 3, 8, 1]"},
    {"expert.broken_expert", "fault=integers", "result", "", "came i32 [2, 3, 8]"},
    {"expert.broken_expert", "fault=nothing", "result", "", "came nothing (NULL) and no error"},
    {"expert.broken_expert", "fault=next_row", "batch", "", "in a batch, against the sequence alone: wanted y["},
    {"expert.broken_expert", "fault=next_group", "group", "", "grouped, against each expert alone: wanted y["},
    {"expert.broken_expert", "fault=not_finite", "finite", "", "wanted numbers everywhere"},
    {"expert.broken_expert", "fault=unsteady", "finite", "", "wanted the same bits in every run"},
    {"expert.broken_expert", "fault=wrong_slope", "slopes", "", "wanted a slope of"},
    {"expert.broken_expert", "fault=wrong_grouped", "slopes", "gradients", "grouped: wanted a slope of"},
    {"expert.broken_expert", "fault=wrong_when_long", "slopes", "gradients", "for longer sequences: wanted a slope of"},
    {"expert.broken_expert", "fault=wrong_alone", "slopes", "gradients", "for sequences of one position: wanted a sl"},
    {"expert.broken_expert", "fault=wrong_with_dropout", "slopes", "gradients", "with dropout: wanted a slope of"},
    {"expert.broken_expert", "fault=no_number_at_start", "gradients", "",
     "at the values that training starts with: wanted a number as the gradient of scale"},
    {"expert.broken_expert", "nodes=65536", "builds", "", "not tried: it has more nodes than are tried"},
    {"expert.broken_expert", "fault=refuses", "builds", "", "build fails: depth must be below 4"},
    {"expert.broken_expert", "depth=4", "builds", "", "build fails: depth must be below 4"},
    {"expert.broken_expert", "", "", "", ""},
    {"encoder.broken_encoder", "encoder_fault=wrong_width", "result", "", "came f32 [2, 3, 5, 9]"},
    {"encoder.broken_encoder", "encoder_fault=drops_axis", "result", "", "came f32 [2, 3, 8]"},
    {"encoder.broken_encoder", "encoder_fault=next_row", "batch", "padding", "in a batch, against the sequence alone"},
    {"encoder.broken_encoder", "encoder_fault=reads_padding", "padding", "", "with other numbers at padded positions"},
    {"encoder.broken_encoder", "encoder_fault=not_finite", "finite", "", "wanted numbers everywhere"},
    {"encoder.broken_encoder", "encoder_fault=unused", "used", "", "came 'more' [4] without one"},
    {"encoder.broken_encoder", "encoder_fault=detached", "trains", "", "wanted a gradient for 'proj.weight'"},
    {"encoder.broken_encoder", "encoder_fault=missing_pop", "scope", "", "came 1 scope still open"},
    {"encoder.broken_encoder", "", "", "", ""},
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static const char *const checks[] = {"builds",  "result", "scope", "names",  "used",   "finite", "empty",
                                     "padding", "batch",  "group", "trains", "slopes", "values", "gradients"};
enum { CHECKS = sizeof checks / sizeof checks[0] };

typedef struct seen {
    const row *r;
    uint32_t run, wanted, others;
} seen;

static void hear(void *user, const m3_module_report *report)
{
    seen *s = user;
    if (strcmp(report->setting, s->r->fault) != 0) return; /* "*" takes further words too */
    s->run++;
    if (report->verdict == M3_VERDICT_PASS) return;
    if (strcmp(report->check, s->r->check) == 0 && strstr(report->text, s->r->says) != NULL)
        s->wanted++;
    else if (s->r->also[0] == 0 || strcmp(report->check, s->r->also) != 0) {
        s->others++;
        print_error("%s: %s\n", report->name, report->text);
    }
}

static void make_checks(seen *s, const char *check)
{
    char pattern[128];
    m3_error err = {0};
    m3_modules_report report;
    const m3_modules_options options = {
        .size = M3_STRUCT_SIZE(m3_modules_options, user), .pattern = pattern, .seed = 1, .done = hear, .user = s};
    (void)snprintf(pattern, sizeof pattern, "%s.%s%s%s", s->r->module, check, s->r->fault[0] != 0 ? " " : "",
                   s->r->fault);
    m3_status st = m3_conformance_modules(with.device, with.reference, &options, &report, &err);
    if (st != M3_OK && st != M3_ERR_INVALID) fail_msg("%s", err.message);
}

static void is_named(void **state)
{
    seen s = {.r = *state};
    /* Without a setting, a pattern with * would match all of them. */
    for (size_t i = 0; i < CHECKS && s.r->fault[0] == 0; i++) make_checks(&s, checks[i]);
    if (s.r->fault[0] != 0) make_checks(&s, "*");
    assert_true(s.run > 0);
    assert_int_equal(s.wanted, s.r->check[0] != 0);
    assert_int_equal(s.others, 0);
}

/* Every check that there is has been made of ours, and all hold. */
static void note_check(void *user, const m3_module_report *report)
{
    uint32_t *made = user;
    for (uint32_t i = 0; i < CHECKS; i++)
        if (strcmp(report->check, checks[i]) == 0) *made |= 1u << i;
    /* ffn_mult=64 and the like may be too large to run. */
    if (report->verdict == M3_VERDICT_SKIP && report->setting[0] != 0) return;
    if (report->verdict != M3_VERDICT_PASS) fail_msg("%s: %s", report->name, report->text);
}

static void ours_hold(void **state)
{
    static const char *const modules[] = {"encoder.linear.*", "encoder.mlp.*", "expert.conv.*",       "expert.gru.*",
                                          "expert.mingru.*",  "expert.pool.*", "expert.transformer.*"};
    (void)state;
    for (size_t i = 0; i < sizeof modules / sizeof modules[0]; i++) {
        m3_error err = {0};
        m3_modules_report report;
        uint32_t made = 0;
        const m3_modules_options options = {.size = M3_STRUCT_SIZE(m3_modules_options, user),
                                            .pattern = modules[i],
                                            .seed = 2,
                                            .done = note_check,
                                            .user = &made};
        if (m3_conformance_modules(with.device, with.reference, &options, &report, &err) != M3_OK)
            fail_msg("%s", err.message);
        assert_int_equal(report.modules, 1);
        assert_int_equal(made, strncmp(modules[i], "expert", 6) == 0 ? 0x3fff : 0x3fff & ~(1u << 6 | 1u << 9));
    }
}

static void a_pattern_without_a_match_is_an_error(void **state)
{
    m3_error err = {0};
    m3_modules_report report;
    const m3_modules_options options = {.size = M3_STRUCT_SIZE(m3_modules_options, user), .pattern = "expert.no*"};
    (void)state;
    assert_int_equal(m3_conformance_modules(with.device, with.reference, &options, &report, &err), M3_ERR_INVALID);
    assert_non_null(strstr(err.message, "encoders and experts; names are KIND.NAME.CHECK"));
}

/* Every allocation in turn fails: the check fails, or the call does, and nothing leaks. */
typedef struct denial {
    long left;
    bool denied;
} denial;

static bool deny(void *user, size_t bytes)
{
    denial *d = user;
    (void)bytes;
    if (d->left-- != 0) return true;
    d->denied = true;
    return false;
}

static void a_failed_allocation_is_no_pass(void **state)
{
    static const m3_modules_options options = {
        .size = M3_STRUCT_SIZE(m3_modules_options, user), .pattern = "encoder.linear.*", .seed = 1};
    bool again = true;
    (void)state;
    for (long n = 0; again; n += n < 40 ? 1 : 23) {
        denial d = {.left = n};
        m3_error err = {0};
        m3_modules_report report = {0};
        m3_alloc_set_gate(deny, &d);
        m3_status st = m3_conformance_modules(with.device, with.reference, &options, &report, &err);
        m3_alloc_set_gate(NULL, NULL);
        again = d.denied;
        assert_int_equal(st != M3_OK || report.failed + report.lacking > 0, d.denied);
    }
}

/* That the reference takes a custom op is no news here. */
static void no_log(void *user, m3_log_level level, const char *line)
{
    (void)user, (void)level, (void)line;
}

int main(void)
{
    static struct CMUnitTest tests[ROWS + 3];
    static char names[ROWS][128];
    m3_error err = {0};
    const m3_engine_config config = {.size = M3_STRUCT_SIZE(m3_engine_config, allow_writable_folder),
                                     .plugin_path = M3BSR_BUILD_PLUGIN_DIR ":" M3BSR_TEST_PLUGIN_DIR
                                                                           "/broken_expert.so:" M3BSR_TEST_PLUGIN_DIR
                                                                           "/broken_encoder.so",
                                     .threads = 1,
                                     .log = no_log,
                                     .allow_writable_folder = true};
    if (m3_engine_create(&config, &with.engine, &err) != M3_OK ||
        m3_device_open(with.engine, "cpu", (m3_span){0}, &with.device, &err) != M3_OK ||
        m3_device_open(with.engine, "reference", (m3_span){0}, &with.reference, &err) != M3_OK) {
        print_error("%s: %s\n", err.subject, err.message);
        return 1;
    }
    for (size_t i = 0; i < ROWS; i++) {
        (void)snprintf(names[i], sizeof names[i], "%s %s -> %s", rows[i].module, rows[i].fault, rows[i].check);
        tests[i] = (struct CMUnitTest){names[i], is_named, NULL, NULL, (void *)(uintptr_t)&rows[i]};
    }
    tests[ROWS] = (struct CMUnitTest)cmocka_unit_test(ours_hold);
    tests[ROWS + 1] = (struct CMUnitTest)cmocka_unit_test(a_pattern_without_a_match_is_an_error);
    tests[ROWS + 2] = (struct CMUnitTest)cmocka_unit_test(a_failed_allocation_is_no_pass);
    int failed = cmocka_run_group_tests_name("conformance/modules", tests, NULL, NULL);
    m3_device_close(with.reference);
    m3_device_close(with.device);
    m3_engine_free(with.engine);
    return failed;
}
