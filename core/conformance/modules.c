/* modules: which encoders and experts are checked under which settings, and how a finding is told. */
#include "core/conformance/modules.h"

#include <fnmatch.h>
#include <math.h>
#include <string.h>

#include "core/base/number.h"
#include "core/base/option.h"

enum { MOST = 65536 /* no end of a range beyond it is tried */ };

/* Telling. */

static const char *kind_name(const m3_subject *s)
{
    return s->kind == M3_PLUGIN_ENCODER ? "encoder" : "expert";
}

static const char *check_name(const m3_subject *s, const char *check, char text[M3_SUBJECT_TEXT])
{
    (void)snprintf(text, M3_SUBJECT_TEXT, "%s.%s.%s%s%s", kind_name(s), s->name, check, s->setting[0] != 0 ? " " : "",
                   s->setting);
    return text;
}

/* A name matches itself; a list in a setting has brackets, which a pattern would take for a set of characters. */
static bool matches(const char *name, const char *pattern)
{
    char plain[2 * M3_SUBJECT_TEXT];
    size_t at = 0;
    for (const char *p = pattern; *p != 0 && at + 2 < sizeof plain; p++) {
        if (*p == '[') plain[at++] = '\\';
        plain[at++] = *p;
    }
    plain[at] = 0;
    return strcmp(name, pattern) == 0 || fnmatch(plain, name, 0) == 0;
}

bool m3_subject_wants(const m3_subject *s, const char *check)
{
    char name[M3_SUBJECT_TEXT];
    if (s->options->device_alone && strcmp(check, "values") != 0 && strcmp(check, "gradients") != 0) return false;
    return s->options->pattern == NULL || matches(check_name(s, check, name), s->options->pattern);
}

void m3_subject_begin(const m3_subject *s, const char *check)
{
    char name[M3_SUBJECT_TEXT];
    /* `builds` always runs, and may be what crashes. */
    if (s->options->begun == NULL || (!m3_subject_wants(s, check) && strcmp(check, "builds") != 0)) return;
    s->options->begun(s->options->user, s->setting_index, check_name(s, check, name));
}

bool m3_subject_tell(m3_subject *s, const char *check, const m3_finding *finding)
{
    char name[M3_SUBJECT_TEXT], module[M3_SUBJECT_TEXT];
    if (!m3_subject_wants(s, check)) return finding->verdict == M3_VERDICT_PASS;
    s->all->run++;
    s->all->passed += finding->verdict == M3_VERDICT_PASS;
    s->all->failed += finding->verdict == M3_VERDICT_FAIL;
    s->all->lacking += finding->verdict == M3_VERDICT_LACKS;
    s->all->untried += finding->verdict == M3_VERDICT_SKIP;
    (void)snprintf(module, sizeof module, "%s %s", kind_name(s), s->name);
    const m3_module_report report = {.size = M3_STRUCT_SIZE(m3_module_report, text),
                                     .name = check_name(s, check, name),
                                     .module = module,
                                     .check = check,
                                     .setting = s->setting,
                                     .verdict = finding->verdict,
                                     .error = finding->error,
                                     .bound = finding->bound,
                                     .text = finding->text};
    if (s->options->done != NULL) s->options->done(s->options->user, &report);
    return finding->verdict == M3_VERDICT_PASS;
}

void m3_finding_fail(m3_finding *finding, const char *format, ...)
{
    va_list args;
    if (finding->verdict != M3_VERDICT_PASS) return;
    finding->verdict = M3_VERDICT_FAIL;
    va_start(args, format);
    (void)vsnprintf(finding->text, sizeof finding->text, format, args);
    va_end(args);
}

void m3_finding_skip(m3_finding *finding, const char *format, ...)
{
    va_list args;
    if (finding->verdict != M3_VERDICT_PASS) return;
    finding->verdict = M3_VERDICT_SKIP;
    va_start(args, format);
    (void)vsnprintf(finding->text, sizeof finding->text, format, args);
    va_end(args);
}

void m3_finding_error(m3_finding *finding, const char *where, const m3_error *err)
{
    const char *subject = err->subject[0] != 0 ? err->subject : "builder";
    const bool first = finding->verdict == M3_VERDICT_PASS;
    m3_finding_fail(finding, "%s: %.500s [%.100s]", where, err->message, subject);
    if (first && err->code == M3_ERR_UNSUPPORTED) finding->verdict = M3_VERDICT_LACKS;
}

const char *m3_place_text(const m3_shape *shape, uint64_t index, char *text, size_t bytes)
{
    size_t at = (size_t)snprintf(text, bytes, "[");
    uint64_t below = m3_shape_count(shape);
    for (uint32_t i = 0; i < shape->rank && at < bytes; i++) {
        below /= shape->dim[i];
        at += (size_t)snprintf(text + at, bytes - at, "%s%llu", i != 0 ? "," : "", (unsigned long long)(index / below));
        index %= below;
    }
    if (at < bytes) (void)snprintf(text + at, bytes - at, "]");
    return text;
}

/* Settings. */

/* Is any check of this setting asked for? */
static bool is_wanted(const m3_subject *s)
{
    static const char *const checks[] = {"builds",  "result", "scope", "names",  "used",   "finite", "empty",
                                         "padding", "batch",  "group", "trains", "slopes", "values", "gradients"};
    bool any = false;
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) any = any || m3_subject_wants(s, checks[i]);
    return any;
}

/* The plugin's options from a configuration that sets one of them, or none. False, with a finding: it is refused. */
static bool settle(m3_subject *s, const m3_option_desc *desc, const char *value, m3_finding *finding)
{
    m3_model_config config;
    m3_error err = {0};
    m3_status st = M3_OK;
    m3_model_defaults(&config);
    char *plugin = s->kind == M3_PLUGIN_ENCODER ? config.encoder : config.expert;
    (void)snprintf(plugin, sizeof config.expert, "%s", s->name);
    if (desc != NULL && m3_model_find_key(desc->key) != NULL) {
        /* The model's own range, where it is the smaller one, is all that can be set. */
        if (m3_model_set(&config, desc->key, value, &err) != M3_OK) return false;
    } else if (desc != NULL) {
        st = m3_model_set_option(&config, desc->key, value, &err);
    }
    if (st == M3_OK) st = m3_module_init(&s->module, m3_device_engine(s->device), s->kind, &config, &err);
    if (st != M3_OK) m3_finding_error(finding, "its options are refused", &err);
    return st == M3_OK;
}

static m3_trial_form first_form(const m3_subject *s)
{
    return (m3_trial_form){.kind = s->kind,
                           .module = &s->module,
                           .lookup = m3_engine_ops(m3_device_engine(s->device)),
                           .lead = 2,
                           .n = 3,
                           .L = 5,
                           .D = 6,
                           .d = 8,
                           .index = -1};
}

/* Some options go with a size of the model alone: heads divide the width, a window fits into the history. */
static bool builds(m3_subject *s, const m3_option_desc *desc, const char *value, m3_finding *finding)
{
    bool sizes = desc != NULL && (desc->type == M3_OPTION_INT || desc->type == M3_OPTION_INTS);
    const char *digits = sizes ? value + strcspn(value, "0123456789") : "";
    uint64_t number = sizes ? (uint64_t)m3_number_read(digits, NULL) : 0;
    for (int attempt = 0; attempt < 3; attempt++) {
        m3_trial trial = {0};
        m3_error err = {0};
        s->form = first_form(s);
        if (attempt > 0 && (number < 2 || number > 4096)) break;
        if (attempt == 1) s->form.d = number % 2 == 0 ? number : 2 * number;
        if (attempt == 2) s->form.L = number;
        m3_status st = m3_trial_build(&trial, &s->form, &err);
        const bool too_many = trial.too_many;
        m3_trial_free(&trial);
        if (st == M3_OK || too_many) {
            *finding = (m3_finding){0};
            if (too_many) m3_finding_skip(finding, "not tried: %.500s", err.message);
            return st == M3_OK;
        }
        m3_finding_error(finding, "build fails", &err);
        finding->verdict = M3_VERDICT_FAIL;
    }
    return false;
}

static void check_setting(m3_subject *s, const m3_option_desc *desc, const char *value)
{
    m3_finding finding = {0};
    s->setting[0] = 0;
    s->settled = desc == NULL || desc->type == M3_OPTION_BOOL || desc->type == M3_OPTION_CHOICE;
    if (desc != NULL) (void)snprintf(s->setting, sizeof s->setting, "%s=%s", desc->key, value);
    if (!is_wanted(s) || s->setting_count++ < s->options->first) return;
    s->setting_index = s->setting_count - 1;
    m3_subject_begin(s, "builds");
    bool settled = settle(s, desc, value, &finding);
    if (!settled && finding.verdict == M3_VERDICT_PASS) return;
    bool built = settled && builds(s, desc, value, &finding);
    (void)m3_subject_tell(s, "builds", &finding);
    if (built && m3_subject_check_build(s) && m3_subject_check_values(s)) m3_subject_check_gradients(s);
    m3_module_fini(&s->module);
}

/* An end of the range of numbers, no further out than what makes sense to try. */
static void check_end(m3_subject *s, const m3_option_desc *desc, bool upper)
{
    char number[64], value[80];
    double end = upper ? fmin(desc->max, fmax(desc->min, MOST)) : fmax(desc->min, fmin(desc->max, -(double)MOST));
    bool whole = desc->type != M3_OPTION_FLOAT;
    (void)snprintf(number, sizeof number, whole ? "%.0f" : "%.17g", end);
    (void)snprintf(value, sizeof value, desc->type == M3_OPTION_INTS ? "[%s]" : "%s", number);
    if (strcmp(value, desc->fallback) != 0) check_setting(s, desc, value);
}

static void check_option(m3_subject *s, const m3_option_desc *desc)
{
    /* These are sizes, of which the checks have their own. */
    if (strcmp(desc->key, "width") == 0 || strcmp(desc->key, "length") == 0) return;
    if (desc->type == M3_OPTION_INT || desc->type == M3_OPTION_FLOAT || desc->type == M3_OPTION_INTS) {
        check_end(s, desc, false);
        if (desc->max != desc->min) check_end(s, desc, true);
    } else if (desc->type == M3_OPTION_BOOL) {
        check_setting(s, desc, desc->fallback[0] == 't' ? "false" : "true");
    } else if (desc->type == M3_OPTION_CHOICE) {
        const char *choices = m3_option_choices(desc);
        char value[M3_CONFIG_TEXT];
        for (int64_t i = 0; m3_option_choice_at(choices, i, value, sizeof value)[0] != 0; i++)
            if (strcmp(value, desc->fallback) != 0) check_setting(s, desc, value);
    }
}

static void check_module(m3_subject *s, const m3_module_api *api)
{
    uint32_t before = s->all->run;
    check_setting(s, NULL, "");
    for (uint32_t i = 0; i < api->options.count; i++) check_option(s, m3_span_at(api->options, i));
    s->all->modules += s->all->run != before;
}

m3_status m3_conformance_modules(m3_device *device, m3_device *reference, const m3_modules_options *options,
                                 m3_modules_report *report, m3_error *err)
{
    static const m3_plugin_kind kinds[] = {M3_PLUGIN_ENCODER, M3_PLUGIN_EXPERT};
    m3_modules_options o = {0};
    m3_modules_report all = {.size = M3_STRUCT_SIZE(m3_modules_report, untried)};
    uint32_t loaded = 0, settings = 0;
    memcpy(&o, options, options->size < sizeof o ? options->size : sizeof o);
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        m3_subject s = {.device = device, .reference = reference, .options = &o, .all = &all, .kind = kinds[k]};
        s.setting_count = settings;
        const m3_module_api *api;
        for (uint32_t i = 0; (api = m3_engine_module_at(m3_device_engine(device), kinds[k], i, &s.name)) != NULL; i++) {
            check_module(&s, api);
            loaded++;
        }
        settings = s.setting_count;
    }
    if (loaded == 0)
        return M3_FAIL(err, M3_ERR_INVALID, "modules", "no encoder and no expert is loaded; see `m3bsr plugins`");
    if (all.run == 0 && (o.first == 0 || settings == 0))
        return M3_FAIL(err, M3_ERR_INVALID, o.pattern != NULL ? o.pattern : "modules",
                       "matches no check of the %u encoders and experts; names are KIND.NAME.CHECK, as in "
                       "'expert.*.padding*'",
                       loaded);
    *report = all;
    return M3_OK;
}
