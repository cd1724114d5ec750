/* synth options: their ranges, the names of behaviors, and what each modality is good for. */
#include <string.h>

#include "core/data/synth/synth.h"

enum { MAX_OBJECTS = 10000000, MAX_EVENTS = 10000 };

static const char *const modality_names[M3_SYNTH_MODALITIES] = {"image", "text",   "audio", "video",
                                                                "tags",  "author", "brand", "price"};

const char *m3_synth_modality_name(uint32_t k)
{
    return modality_names[k];
}

static m3_status check_options(const m3_synth_options *o, m3_error *err)
{
    const struct {
        const char *name;
        uint32_t value, min, max;
    } counts[] = {{"users", o->users, 1, MAX_OBJECTS},
                  {"items", o->items, 2, MAX_OBJECTS},
                  {"clusters", o->clusters, 1, o->items / 2},
                  {"behaviors", o->behaviors, 1, M3_SYNTH_BEHAVIORS},
                  {"modalities", o->modalities, 0, M3_SYNTH_MODALITIES},
                  {"width", o->width, 1, 4096},
                  {"events", o->events, 4, MAX_EVENTS}};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        if (counts[i].value < counts[i].min || counts[i].value > counts[i].max)
            return M3_FAIL(err, M3_ERR_INVALID, counts[i].name, "is %u; give %u to %u%s", counts[i].value,
                           counts[i].min, counts[i].max, i == 2 ? ", two items a cluster or more" : "");
    const struct {
        const char *name;
        double value, max;
    } fractions[] = {{"accidental", o->accidental, 0.9},
                     {"feature_noise", o->feature_noise, 1.0},
                     {"deepen", o->deepen, 1.0},
                     {"bursts", o->bursts, 1.0},
                     {"tail", o->tail, 3.0},
                     {"drift", o->drift, 1.0}};
    for (size_t i = 0; i < sizeof fractions / sizeof fractions[0]; i++)
        if (!(fractions[i].value >= 0.0 && fractions[i].value <= fractions[i].max))
            return M3_FAIL(err, M3_ERR_INVALID, fractions[i].name, "is %g; give 0 to %g", fractions[i].value,
                           fractions[i].max);
    if (o->accidental_by != M3_ACCIDENTAL_UNIFORM && o->accidental_by != M3_ACCIDENTAL_POPULARITY)
        return M3_FAIL(err, M3_ERR_INVALID, "accidental_by", "is %d; give M3_ACCIDENTAL_UNIFORM or _POPULARITY",
                       (int)o->accidental_by);
    return M3_OK;
}

static void name_behaviors(m3_synth *s)
{
    static const char *const names[] = {"view", "click", "like", "share", "follow", "favourite", "cart"};
    for (uint32_t b = 0; b + 1 < s->o.behaviors; b++) s->behaviors[b] = names[b];
    s->behaviors[s->o.behaviors - 1] = "buy";
}

/* "useful", "useless" or "only:BEHAVIOR". */
static m3_status read_use(m3_synth *s, uint32_t k, const char *text, m3_error *err)
{
    static const char only[] = "only:";
    const size_t prefix = sizeof only - 1;
    if (strcmp(text, "useful") == 0) return M3_OK;
    s->modalities[k].use = M3_SYNTH_USELESS;
    if (strcmp(text, "useless") == 0) return M3_OK;
    s->modalities[k].use = M3_SYNTH_ONLY;
    for (uint32_t b = 0; b < s->o.behaviors && strncmp(text, only, prefix) == 0; b++) {
        if (strcmp(text + prefix, s->behaviors[b]) != 0) continue;
        s->modalities[k].behavior = b;
        if (s->ring_of[b] == 0) s->ring_of[b] = s->ring_count++;
        return M3_OK;
    }
    char names[80] = "";
    for (uint32_t b = 0; b < s->o.behaviors; b++) {
        const size_t used = strlen(names);
        (void)snprintf(names + used, sizeof names - used, "%s%s", b == 0 ? "" : ", ", s->behaviors[b]);
    }
    return M3_FAIL(err, M3_ERR_INVALID, "features",
                   "'%s' of %s is unknown; give useful, useless or only:BEHAVIOR, where BEHAVIOR is one of %s", text,
                   modality_names[k], names);
}

m3_status m3_synth_read_options(m3_synth *s, const m3_synth_options *options, m3_error *err)
{
    m3_status st;
    const uint32_t size = M3_STRUCT_SIZE(m3_synth_options, drift);
    if (!M3_HAS(options, m3_synth_options, seed))
        return M3_FAIL(err, M3_ERR_INVALID, "options", "start with M3_SYNTH_OPTIONS_INIT: size is %u", options->size);
    memcpy(&s->o, options, options->size < size ? options->size : size); /* what an older caller lacks stays 0: off */
    if ((st = check_options(&s->o, err)) != M3_OK) return st;
    name_behaviors(s);
    s->ring_count = 1;
    if (s->o.feature_count == 0) return M3_OK;
    if (s->o.feature_count != s->o.modalities)
        return M3_FAIL(err, M3_ERR_INVALID, "features", "has %u entries and there are %u modalities; give one for each",
                       s->o.feature_count, s->o.modalities);
    for (uint32_t k = 0; k < s->o.modalities; k++)
        if ((st = read_use(s, k, s->o.features[k], err)) != M3_OK) return st;
    return M3_OK;
}
