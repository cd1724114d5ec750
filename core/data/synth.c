/* synth: data whose truth is known, so that learning and denoising can be measured.
 *   items       each belongs to a cluster and has a place on the cluster's ring
 *   features    center(cluster) + (cos a, sin a) on two directions, a = the place's angle, + a little of its own;
 *               some items get noise of the same size instead
 *   user        one to three clusters as interests, a place in each; a genuine step stays in the interest (0.85) or
 *               changes it, moves one or two places on, and is an event of the shallowest behavior; with chance
 *               `deepen` each it is one of the next behavior too, at the same time
 *   accidental  between steps: an event of the shallowest behavior on an item drawn from all
 * Every draw is philox(seed; purpose, object, number), so no draw depends on how many others were made. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/base/alloc.h"
#include "core/base/outfile.h"
#include "core/base/philox.h"
#include "m3bsr/data.h"

enum { MAX_BEHAVIORS = 8, MAX_MODALITIES = 8, MAX_INTERESTS = 3, MAX_OBJECTS = 10000000, MAX_EVENTS = 10000 };

static const double STAY = 0.85, PLACE_WEIGHT = 0.7, OWN_WEIGHT = 0.1;
static const int64_t FIRST_TIME = 1700000000;

enum purpose { FOR_PLACES, FOR_USERS, FOR_CENTERS, FOR_DIRECTIONS, FOR_ITEMS };

struct draws {
    uint32_t key[2], counter[4], block[4];
    uint32_t left;
};

struct event {
    int64_t time;
    uint32_t user, item, behavior, accidental;
};

struct user {
    uint32_t count, interests[MAX_INTERESTS];
};

struct synth {
    m3_synth_options o;
    const char *behaviors[MAX_BEHAVIORS];
    uint32_t *cluster, *place; /* [items] */
    uint32_t *members;         /* [items] by cluster, then place */
    uint32_t *starts;          /* [clusters + 1] in members */
    struct user *users;
    struct event *events;
    size_t count, capacity;
    float *clean, *noisy; /* [items, width] of the modality at hand */
    uint8_t *is_noise;    /* [modalities, items] */
};

static const char *const modality_names[MAX_MODALITIES] = {"image", "text",   "audio", "video",
                                                           "tags",  "author", "brand", "price"};

static struct draws draws_for(const struct synth *s, enum purpose purpose, uint32_t object, uint32_t part)
{
    return (struct draws){.key = {(uint32_t)s->o.seed, (uint32_t)(s->o.seed >> 32)},
                          .counter = {0, object, part, (uint32_t)purpose}};
}

static uint32_t draw(struct draws *d)
{
    if (d->left == 0) {
        m3_philox4x32_10(d->counter, d->key, d->block);
        d->counter[0]++;
        d->left = 4;
    }
    return d->block[--d->left];
}

/* In [0, 1). */
static double draw_uniform(struct draws *d)
{
    return draw(d) / 4294967296.0;
}

static uint32_t draw_below(struct draws *d, uint32_t bound)
{
    return (uint32_t)((uint64_t)draw(d) * bound >> 32);
}

/* Box and Muller, one of the pair. */
static double draw_normal(struct draws *d)
{
    double u = (draw(d) + 0.5) / 4294967296.0, v = draw_uniform(d);
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v);
}

static m3_status check_options(const m3_synth_options *o, m3_error *err)
{
    if (!M3_HAS(o, m3_synth_options, seed))
        return M3_FAIL(err, M3_ERR_INVALID, "options", "start with M3_SYNTH_OPTIONS_INIT: size is %u", o->size);
    const struct {
        const char *name;
        uint32_t value, min, max;
    } counts[] = {{"users", o->users, 1, MAX_OBJECTS},
                  {"items", o->items, 2, MAX_OBJECTS},
                  {"clusters", o->clusters, 1, o->items / 2},
                  {"behaviors", o->behaviors, 1, MAX_BEHAVIORS},
                  {"modalities", o->modalities, 0, MAX_MODALITIES},
                  {"width", o->width, 1, 4096},
                  {"events", o->events, 4, MAX_EVENTS}};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        if (counts[i].value < counts[i].min || counts[i].value > counts[i].max)
            return M3_FAIL(err, M3_ERR_INVALID, counts[i].name, "is %u; give %u to %u%s", counts[i].value,
                           counts[i].min, counts[i].max, i == 2 ? ", two items a cluster or more" : "");
    const struct {
        const char *name;
        double value, max;
    } fractions[] = {
        {"accidental", o->accidental, 0.9}, {"feature_noise", o->feature_noise, 1.0}, {"deepen", o->deepen, 1.0}};
    for (size_t i = 0; i < sizeof fractions / sizeof fractions[0]; i++)
        if (!(fractions[i].value >= 0.0 && fractions[i].value <= fractions[i].max))
            return M3_FAIL(err, M3_ERR_INVALID, fractions[i].name, "is %g; give 0 to %g", fractions[i].value,
                           fractions[i].max);
    return M3_OK;
}

/* Shuffle the items, then deal them to the clusters: numbers say nothing about clusters. */
static void place_items(struct synth *s)
{
    struct draws d = draws_for(s, FOR_PLACES, 0, 0);
    for (uint32_t i = 0; i < s->o.items; i++) s->members[i] = i;
    for (uint32_t i = s->o.items - 1; i > 0; i--) {
        uint32_t other = draw_below(&d, i + 1), item = s->members[i];
        s->members[i] = s->members[other];
        s->members[other] = item;
    }
    for (uint32_t c = 0; c <= s->o.clusters; c++) s->starts[c] = (uint32_t)((uint64_t)s->o.items * c / s->o.clusters);
    for (uint32_t c = 0; c < s->o.clusters; c++)
        for (uint32_t i = s->starts[c]; i < s->starts[c + 1]; i++) {
            s->cluster[s->members[i]] = c;
            s->place[s->members[i]] = i - s->starts[c];
        }
}

static m3_status add_event(struct synth *s, struct event event, m3_error *err)
{
    if (s->count == s->capacity) {
        size_t capacity = s->capacity == 0 ? 1024 : s->capacity * 2;
        struct event *events = m3_realloc(s->events, capacity, sizeof *events);
        if (events == NULL) return M3_FAIL_MEMORY(err, "events", capacity * sizeof *events);
        s->events = events;
        s->capacity = capacity;
    }
    s->events[s->count++] = event;
    return M3_OK;
}

static void choose_interests(struct synth *s, struct user *user, struct draws *d)
{
    uint32_t wanted = 1 + draw_below(d, MAX_INTERESTS);
    if (wanted > s->o.clusters) wanted = s->o.clusters;
    while (user->count < wanted) {
        uint32_t cluster = (uint32_t)(s->o.clusters * pow(draw_uniform(d), 1.5)); /* low numbers are popular */
        bool fresh = true;
        for (uint32_t i = 0; i < user->count; i++) fresh = fresh && user->interests[i] != cluster;
        if (fresh) user->interests[user->count++] = cluster;
    }
}

static m3_status add_user_events(struct synth *s, uint32_t u, m3_error *err)
{
    m3_status st = M3_OK;
    struct user *user = &s->users[u];
    struct draws d = draws_for(s, FOR_USERS, u, 0);
    choose_interests(s, user, &d);
    uint32_t places[MAX_INTERESTS] = {0};
    for (uint32_t i = 0; i < user->count; i++) places[i] = draw(&d);
    uint32_t steps = s->o.events / 2 + draw_below(&d, s->o.events + 1), at = draw_below(&d, user->count);
    int64_t time = FIRST_TIME + draw_below(&d, 30 * 86400);
    for (uint32_t step = 0; step < steps;) {
        time += 60 + draw_below(&d, 3600);
        if (draw_uniform(&d) < s->o.accidental) {
            if ((st = add_event(s, (struct event){time, u, draw_below(&d, s->o.items), 0, 1}, err)) != M3_OK) return st;
            continue;
        }
        step++;
        if (draw_uniform(&d) >= STAY) at = draw_below(&d, user->count);
        uint32_t cluster = user->interests[at], size = s->starts[cluster + 1] - s->starts[cluster];
        places[at] = (places[at] % size + 1 + draw_below(&d, 2)) % size;
        struct event event = {time, u, s->members[s->starts[cluster] + places[at]], 0, 0};
        do {
            if ((st = add_event(s, event, err)) != M3_OK) return st;
        } while (++event.behavior < s->o.behaviors && draw_uniform(&d) < s->o.deepen);
    }
    return M3_OK;
}

static int by_time(const void *a, const void *b)
{
    const struct event *x = a, *y = b;
    if (x->time != y->time) return x->time < y->time ? -1 : 1;
    if (x->user != y->user) return x->user < y->user ? -1 : 1;
    return x->behavior == y->behavior ? 0 : x->behavior < y->behavior ? -1 : 1;
}

/* Row i of the modality, before (clean) and after (noisy) the planted noise. */
static void make_features(struct synth *s, uint32_t k)
{
    uint32_t width = s->o.width;
    for (uint32_t i = 0; i < s->o.items; i++) {
        struct draws own = draws_for(s, FOR_ITEMS, i, k), center = draws_for(s, FOR_CENTERS, s->cluster[i], k);
        struct draws directions = draws_for(s, FOR_DIRECTIONS, 0, k);
        uint32_t size = s->starts[s->cluster[i] + 1] - s->starts[s->cluster[i]];
        double angle = 6.283185307179586 * s->place[i] / size;
        bool noise = draw_uniform(&own) < s->o.feature_noise;
        s->is_noise[(size_t)k * s->o.items + i] = noise;
        for (uint32_t j = 0; j < width; j++) {
            double along = draw_normal(&directions), across = draw_normal(&directions);
            double value = draw_normal(&center) + PLACE_WEIGHT * (cos(angle) * along + sin(angle) * across) +
                           OWN_WEIGHT * draw_normal(&own);
            double other = draw_normal(&own) * sqrt(1.0 + PLACE_WEIGHT * PLACE_WEIGHT);
            s->clean[(size_t)i * width + j] = (float)value;
            s->noisy[(size_t)i * width + j] = (float)(noise ? other : value);
        }
    }
}

static m3_status open_in(m3_outfile *out, const char *directory, const char *name, const char *ending, m3_error *err)
{
    char *path = m3_strfmt("%s/%s%s", directory, name, ending);
    if (path == NULL) return M3_FAIL_MEMORY(err, directory, strlen(directory));
    m3_status st = m3_outfile_open(out, path, err);
    m3_free(path);
    return st;
}

static m3_status write_events(const struct synth *s, const char *directory, bool truth, m3_error *err)
{
    m3_outfile out = {0};
    m3_status st = open_in(&out, directory, "interactions", ".tsv", err);
    if (st != M3_OK) return st;
    (void)fprintf(out.stream, "user_id\titem_id\tbehavior\ttimestamp%s\n", truth ? "\taccidental" : "");
    for (size_t i = 0; i < s->count; i++) {
        const struct event *e = &s->events[i];
        (void)fprintf(out.stream, "u%u\ti%u\t%s\t%lld%s\n", e->user + 1, e->item + 1, s->behaviors[e->behavior],
                      (long long)e->time,
                      !truth          ? ""
                      : e->accidental ? "\t1"
                                      : "\t0");
    }
    return m3_outfile_commit(&out, err);
}

static m3_status write_items(const struct synth *s, const char *directory, m3_error *err)
{
    m3_outfile out = {0};
    m3_status st = open_in(&out, directory, "items", ".tsv", err);
    if (st != M3_OK) return st;
    (void)fprintf(out.stream, "item_id\ttitle\tcategory\n");
    for (uint32_t i = 0; i < s->o.items; i++)
        (void)fprintf(out.stream, "i%u\tTopic %u, part %u\ttopic%u\n", i + 1, s->cluster[i] + 1, s->place[i] + 1,
                      s->cluster[i] + 1);
    return m3_outfile_commit(&out, err);
}

static m3_status write_item_truth(const struct synth *s, const char *directory, m3_error *err)
{
    m3_outfile out = {0};
    m3_status st = open_in(&out, directory, "items", ".tsv", err);
    if (st != M3_OK) return st;
    (void)fprintf(out.stream, "item_id\tcluster\tplace");
    for (uint32_t k = 0; k < s->o.modalities; k++) (void)fprintf(out.stream, "\tnoise_%s", modality_names[k]);
    (void)fputc('\n', out.stream);
    for (uint32_t i = 0; i < s->o.items; i++) {
        (void)fprintf(out.stream, "i%u\t%u\t%u", i + 1, s->cluster[i] + 1, s->place[i] + 1);
        for (uint32_t k = 0; k < s->o.modalities; k++)
            (void)fprintf(out.stream, "\t%d", s->is_noise[(size_t)k * s->o.items + i]);
        (void)fputc('\n', out.stream);
    }
    return m3_outfile_commit(&out, err);
}

static m3_status write_user_truth(const struct synth *s, const char *directory, m3_error *err)
{
    m3_outfile out = {0};
    m3_status st = open_in(&out, directory, "users", ".tsv", err);
    if (st != M3_OK) return st;
    (void)fprintf(out.stream, "user_id\tclusters\n");
    for (uint32_t u = 0; u < s->o.users; u++) {
        (void)fprintf(out.stream, "u%u\t", u + 1);
        for (uint32_t i = 0; i < s->users[u].count; i++)
            (void)fprintf(out.stream, "%s%u", i == 0 ? "" : ",", s->users[u].interests[i] + 1);
        (void)fputc('\n', out.stream);
    }
    return m3_outfile_commit(&out, err);
}

static m3_status write_matrix(const struct synth *s, const char *directory, const char *name, const float *rows,
                              m3_error *err)
{
    char dict[118]; /* 10 bytes stand before it: together 128 */
    m3_outfile out = {0};
    m3_status st = open_in(&out, directory, name, ".npy", err);
    if (st != M3_OK) return st;
    int used = snprintf(dict, sizeof dict, "{'descr': '<f4', 'fortran_order': False, 'shape': (%u, %u), }", s->o.items,
                        s->o.width);
    memset(dict + used, ' ', sizeof dict - (size_t)used);
    dict[sizeof dict - 1] = '\n';
    (void)fwrite("\x93NUMPY\x01\x00\x76\x00", 1, 10, out.stream);
    (void)fwrite(dict, 1, sizeof dict, out.stream);
    (void)fwrite(rows, sizeof *rows, (size_t)s->o.items * s->o.width, out.stream);
    return m3_outfile_commit(&out, err);
}

static m3_status write_ids(const struct synth *s, const char *directory, const char *name, m3_error *err)
{
    m3_outfile out = {0};
    m3_status st = open_in(&out, directory, name, ".ids.txt", err);
    if (st != M3_OK) return st;
    for (uint32_t i = 0; i < s->o.items; i++) (void)fprintf(out.stream, "i%u\n", i + 1);
    return m3_outfile_commit(&out, err);
}

static m3_status make_directory(const char *path, m3_error *err)
{
    if (mkdir(path, 0777) == 0 || errno == EEXIST) return M3_OK;
    return M3_FAIL(err, m3_path_status(errno), path, "cannot be made: %s", strerror(errno));
}

static m3_status write_all(struct synth *s, const char *directory, const char *truth, m3_error *err)
{
    m3_status st;
    if ((st = make_directory(directory, err)) != M3_OK || (st = make_directory(truth, err)) != M3_OK) return st;
    for (uint32_t k = 0; k < s->o.modalities; k++) {
        make_features(s, k);
        if ((st = write_matrix(s, directory, modality_names[k], s->noisy, err)) != M3_OK ||
            (st = write_matrix(s, truth, modality_names[k], s->clean, err)) != M3_OK ||
            (st = write_ids(s, directory, modality_names[k], err)) != M3_OK)
            return st;
    }
    if ((st = write_events(s, directory, false, err)) != M3_OK || (st = write_events(s, truth, true, err)) != M3_OK ||
        (st = write_items(s, directory, err)) != M3_OK || (st = write_item_truth(s, truth, err)) != M3_OK)
        return st;
    return write_user_truth(s, truth, err);
}

static void name_behaviors(struct synth *s)
{
    static const char *const names[] = {"view", "click", "like", "share", "follow", "favourite", "cart"};
    for (uint32_t b = 0; b + 1 < s->o.behaviors; b++) s->behaviors[b] = names[b];
    s->behaviors[s->o.behaviors - 1] = "buy";
}

static m3_status allocate(struct synth *s, m3_error *err)
{
    size_t items = s->o.items, cells = s->o.modalities > 0 ? items * s->o.width : 0;
    if ((s->cluster = m3_calloc(items, sizeof *s->cluster)) == NULL ||
        (s->place = m3_calloc(items, sizeof *s->place)) == NULL ||
        (s->members = m3_calloc(items, sizeof *s->members)) == NULL ||
        (s->starts = m3_calloc((size_t)s->o.clusters + 1, sizeof *s->starts)) == NULL ||
        (s->users = m3_calloc(s->o.users, sizeof *s->users)) == NULL ||
        (s->clean = m3_calloc(cells, sizeof *s->clean)) == NULL ||
        (s->noisy = m3_calloc(cells, sizeof *s->noisy)) == NULL ||
        (s->is_noise = m3_calloc(items, MAX_MODALITIES)) == NULL)
        return M3_FAIL_MEMORY(err, "synth",
                              items * (3 * sizeof *s->place + MAX_MODALITIES) + 2 * cells * sizeof(float));
    return M3_OK;
}

m3_status m3_data_synth(const m3_synth_options *options, const char *directory, m3_error *err)
{
    struct synth s = {0};
    char *truth = NULL;
    m3_status st = check_options(options, err);
    if (st != M3_OK) return st;
    s.o = *options;
    name_behaviors(&s);
    if ((st = allocate(&s, err)) != M3_OK) goto done;
    if ((truth = m3_strfmt("%s/truth", directory)) == NULL) {
        st = M3_FAIL_MEMORY(err, directory, strlen(directory) + 7);
        goto done;
    }
    place_items(&s);
    for (uint32_t u = 0; u < s.o.users; u++)
        if ((st = add_user_events(&s, u, err)) != M3_OK) goto done;
    if (s.count > 0) qsort(s.events, s.count, sizeof *s.events, by_time);
    st = write_all(&s, directory, truth, err);
done:
    m3_free(truth);
    m3_free(s.cluster);
    m3_free(s.place);
    m3_free(s.members);
    m3_free(s.starts);
    m3_free(s.users);
    m3_free(s.events);
    m3_free(s.clean);
    m3_free(s.noisy);
    m3_free(s.is_noise);
    return st;
}
