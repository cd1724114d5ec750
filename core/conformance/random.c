/* random: the list of random configurations, and how each is told. */
#include "core/conformance/random.h"

#include <fnmatch.h>
#include <math.h>
#include <string.h>

static bool matches(const char *name, const char *pattern)
{
    return pattern == NULL || fnmatch(pattern, name, 0) == 0;
}

static const char *name_of(uint32_t index, char text[32])
{
    (void)snprintf(text, 32, "random.%u", index);
    return text;
}

static void say_error(m3_random_finding *finding, const m3_error *err)
{
    finding->verdict = err->code == M3_ERR_UNSUPPORTED ? M3_VERDICT_LACKS : M3_VERDICT_FAIL;
    (void)snprintf(finding->text, sizeof finding->text, "%.700s [%.200s]", err->message, err->subject);
}

/* Where little is published, a fault is only seen in what comes of it: look once more with all published. */
static void locate(const m3_random_devices *devices, const m3_random_config *config, m3_random_finding *finding)
{
    static const char unwatched[] = "; with all values published it is right";
    m3_random_config watched = *config;
    m3_random_finding other;
    watched.watched = true;
    if (finding->verdict != M3_VERDICT_FAIL || config->watched) return;
    if (m3_random_compare(devices, &watched, &other, NULL) != M3_OK) return;
    if (other.verdict == M3_VERDICT_FAIL)
        *finding = other;
    else if (strlen(finding->text) + sizeof unwatched < sizeof finding->text)
        (void)snprintf(finding->text + strlen(finding->text), sizeof unwatched, "%s", unwatched);
}

static void try_one(const m3_random_devices *devices, const m3_cases_options *options, uint32_t index, uint32_t place,
                    m3_cases_report *all)
{
    m3_random_config config = {0};
    m3_random_finding finding = {0};
    m3_error err = {0};
    char name[32];
    m3_status st = m3_random_draw(m3_device_engine(devices->device), options->seed, index, &config, &err);
    if (st == M3_OK) st = m3_random_compare(devices, &config, &finding, &err);
    if (st != M3_OK)
        say_error(&finding, &err);
    else
        locate(devices, &config, &finding);
    all->run++;
    all->passed += finding.verdict == M3_VERDICT_PASS;
    all->failed += finding.verdict == M3_VERDICT_FAIL;
    all->lacking += finding.verdict == M3_VERDICT_LACKS;
    all->share = fmax(all->share, finding.share);
    const m3_case_report report = {.size = M3_STRUCT_SIZE(m3_case_report, settings),
                                   .name = name_of(index, name),
                                   .verdict = finding.verdict,
                                   .share = finding.share,
                                   .text = finding.text,
                                   .index = place,
                                   .op = "model",
                                   .ran = "",
                                   .settings = config.settings};
    if (options->done != NULL) options->done(options->user, &report);
}

m3_status m3_conformance_random(m3_device *device, m3_device *reference, uint32_t configurations,
                                const m3_cases_options *options, m3_cases_report *report, m3_error *err)
{
    m3_cases_options o = {0};
    m3_cases_report all = {.size = M3_STRUCT_SIZE(m3_cases_report, share), .version = 4};
    uint32_t matching = 0, place = 0;
    char name[32];
    memcpy(&o, options, options->size < sizeof o ? options->size : sizeof o);
    const m3_random_devices devices = {
        .device = device, .reference = reference, .no_pass = o.no_pass, .strict = o.strict};
    for (uint32_t i = 0; i < configurations; i++) matching += matches(name_of(i, name), o.pattern);
    if (matching == 0)
        return M3_FAIL(err, M3_ERR_INVALID, o.pattern != NULL ? o.pattern : "random",
                       "matches none of the %u random configurations; their names are random.0 to random.%u",
                       configurations, configurations > 0 ? configurations - 1 : 0);
    for (uint32_t i = 0; i < configurations; i++) {
        if (!matches(name_of(i, name), o.pattern)) continue;
        const uint32_t at = place++;
        if (at < o.first || (o.count > 0 && at >= o.first + o.count)) continue;
        if (o.begun != NULL) o.begun(o.user, at, matching, name);
        try_one(&devices, &o, i, at, &all);
    }
    *report = all;
    return M3_OK;
}
