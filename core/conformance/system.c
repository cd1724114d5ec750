/* system: which checks there are, which are made, and how a finding is told. */
#include "core/conformance/system.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/option.h"

/* Findings. */

static bool find(m3_system *s, m3_verdict verdict, const char *format, va_list args)
{
    pthread_mutex_lock(&s->lock);
    const bool first = s->verdict == M3_VERDICT_PASS || (s->verdict == M3_VERDICT_LACKS && verdict == M3_VERDICT_FAIL);
    if (first) {
        s->verdict = verdict;
        (void)vsnprintf(s->text, sizeof s->text, format, args);
    }
    pthread_mutex_unlock(&s->lock);
    return false;
}

bool m3_system_fail(m3_system *s, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)find(s, M3_VERDICT_FAIL, format, args);
    va_end(args);
    return false;
}

bool m3_system_lack(m3_system *s, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)find(s, M3_VERDICT_LACKS, format, args);
    va_end(args);
    return false;
}

void m3_system_note(m3_system *s, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    pthread_mutex_lock(&s->lock);
    if (s->verdict == M3_VERDICT_PASS) (void)vsnprintf(s->text, sizeof s->text, format, args);
    pthread_mutex_unlock(&s->lock);
    va_end(args);
}

const char *m3_system_status(m3_status st)
{
    static const char *const names[] = {"M3_OK",           "M3_ERR_INVALID",     "M3_ERR_UNSUPPORTED",
                                        "M3_ERR_MEMORY",   "M3_ERR_DEVICE_LOST", "M3_ERR_TIMEOUT",
                                        "M3_ERR_RANGE",    "M3_ERR_ABI",         "M3_ERR_IO",
                                        "M3_ERR_INTERNAL", "M3_ERR_INTERRUPTED"};
    const size_t code = (size_t)st;
    return code < sizeof names / sizeof names[0] ? names[code] : "a status that is not known";
}

const char *m3_system_text(char *text, size_t bytes, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, bytes, format, args);
    va_end(args);
    return text;
}

bool m3_system_wants(m3_system *s, const char *did, m3_status want, m3_status came, const m3_error *err)
{
    if (came != want)
        return m3_system_fail(s, "%s: wanted %s, came %s%s%.400s%s", did, m3_system_status(want),
                              m3_system_status(came), err->message[0] != 0 ? " (" : "", err->message,
                              err->message[0] != 0 ? ")" : "");
    if (want != M3_OK && err->message[0] == 0)
        return m3_system_fail(s, "%s: wanted %s with a message that says why, came one without", did,
                              m3_system_status(want));
    if (want != M3_OK && err->code != came)
        return m3_system_fail(s, "%s: wanted the error to have the code of the status, %s, came %s", did,
                              m3_system_status(came), m3_system_status(err->code));
    return true;
}

const m3_option_desc *m3_system_option(const m3_system *s, const char *key)
{
    return M3_HAS(s->api, m3_backend_api, options) ? m3_option_find(s->api->options, key) : NULL;
}

/* The list. */

static const m3_system_check *check_at(uint32_t index)
{
    const struct {
        const m3_system_check *checks;
        uint32_t count;
    } tables[] = {{m3_system_life, m3_system_life_count},
                  {m3_system_memory, m3_system_memory_count},
                  {m3_system_programs, m3_system_programs_count},
                  {m3_system_together, m3_system_together_count},
                  {m3_system_faults, m3_system_faults_count}};
    for (size_t t = 0; t < sizeof tables / sizeof tables[0]; t++) {
        if (index < tables[t].count) return &tables[t].checks[index];
        index -= tables[t].count;
    }
    return NULL;
}

const char *m3_conformance_system_name(uint32_t index, const char **about)
{
    const m3_system_check *check = check_at(index);
    if (about != NULL) *about = check != NULL ? check->about : NULL;
    return check != NULL ? check->name : NULL;
}

static bool is_wanted(const char *name, const char *pattern)
{
    return pattern == NULL || strcmp(name, pattern) == 0 || fnmatch(pattern, name, 0) == 0;
}

static void make(m3_system *s, const m3_system_check *check, uint32_t index, const m3_system_options *o,
                 m3_system_report *all)
{
    s->verdict = M3_VERDICT_PASS;
    s->text[0] = 0;
    if (o->begun != NULL) o->begun(o->user, index, check->name);
    check->run(s);
    all->run++;
    all->passed += s->verdict == M3_VERDICT_PASS;
    all->failed += s->verdict == M3_VERDICT_FAIL;
    all->lacking += s->verdict == M3_VERDICT_LACKS;
    const m3_system_finding finding = {.size = M3_STRUCT_SIZE(m3_system_finding, text),
                                       .name = check->name,
                                       .about = check->about,
                                       .verdict = s->verdict,
                                       .text = s->text};
    if (o->done != NULL) o->done(o->user, &finding);
}

m3_status m3_conformance_system(m3_device *device, const m3_system_options *options, m3_system_report *report,
                                m3_error *err)
{
    m3_system_options o = {0};
    m3_system_report all = {.size = M3_STRUCT_SIZE(m3_system_report, lacking)};
    const m3_system_check *check;
    const char *colon = strchr(device->name, ':');
    uint32_t matching = 0;
    memcpy(&o, options, options->size < sizeof o ? options->size : sizeof o);
    m3_system s = {.api = device->api,
                   .name = device->name,
                   .index = colon != NULL ? (uint32_t)strtoul(colon + 1, NULL, 10) : 0,
                   .threads = device->engine->host.threads,
                   .cache_path = device->engine->host.cache_path,
                   .given = o.device_options};
    (void)pthread_mutex_init(&s.lock, NULL);
    for (uint32_t i = 0; (check = check_at(i)) != NULL; i++) {
        if (!is_wanted(check->name, o.pattern)) continue;
        matching++;
        if (i >= o.first) make(&s, check, i, &o, &all);
    }
    (void)pthread_mutex_destroy(&s.lock);
    if (matching == 0)
        return M3_FAIL(err, M3_ERR_INVALID, o.pattern != NULL ? o.pattern : "system",
                       "matches no check of the layer system; names are as in 'system.copy.*', and --list shows them");
    *report = all;
    return M3_OK;
}
