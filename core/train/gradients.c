/* gradients: which parts of the model learn, from Adam's moments in the store: v is a mean of squared gradients over
 * some 1/(1 - beta2) steps, m a mean of gradients over some 1/(1 - beta1). A part that died late still has a v, but no
 * m.
 */
#include <math.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/model/model.h"
#include "core/train/instruments.h"
#include "core/train/ranks.h"
#include "core/train/shards.h"
#include "core/train/statistics.h"

static const double nothing = 1e-6; /* of a usual gradient: what is zero in exact arithmetic rounds to about 1e-8 */

enum { PIECE = 1 << 16 }; /* values that are read at a time */

static const char specific[] = "experts.specific.";

typedef struct measuring {
    m3_trainer *tr;
    const m3_sequence_names *names;
    m3_part *parts;
    uint32_t count, capacity;
    float *data; /* of a slice or a piece */
} measuring;

/* "encoder.id.norm.bias" is of "encoder.id", "router.gate.weight" of "router", "item.weight" of itself. */
static size_t part_length(const char *parameter)
{
    static const char *const lists[] = {"encoder.", "denoise.", "experts.", "item."}; /* of several parts */
    size_t length = 0;
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        if (strncmp(parameter, lists[i], strlen(lists[i])) == 0) length = strlen(lists[i]);
    return length + strcspn(parameter + length, ".");
}

static m3_part *find_part(measuring *m, const char *name)
{
    for (uint32_t i = 0; i < m->count; i++)
        if (strcmp(m->parts[i].name, name) == 0) return &m->parts[i];
    if (m->count == m->capacity) return NULL;
    m3_part *part = &m->parts[m->count++];
    (void)snprintf(part->name, sizeof part->name, "%s", name);
    return part;
}

/* The part of slice `group` of a parameter: specific experts are slices of one another's parameters. */
static m3_part *part_of(measuring *m, const char *parameter, uint32_t group)
{
    char name[M3_PART_NAME], expert[M3_EXPERT_NAME];
    const int length = (int)part_length(parameter);
    if (strncmp(parameter, specific, sizeof specific - 1) == 0)
        (void)snprintf(name, sizeof name, "%.*s.%s", length, parameter, m3_expert_name(m->names, group + 1, expert));
    else
        (void)snprintf(name, sizeof name, "%.*s", length, parameter);
    return find_part(m, name);
}

typedef void (*slice_fn)(measuring *m, m3_part *part, const float *values, uint64_t count, double limit);

/* Specific experts: slices of one tensor, which is read at once. */
static bool is_grouped(const measuring *m, const m3_store_entry *p)
{
    const uint32_t groups = m->names->behavior_count * m->names->modality_count;
    return strncmp(p->name, specific, sizeof specific - 1) == 0 && p->shape.dim[0] == groups;
}

/* Values that are not looked at: of item 0, which is padding, where this rank has it. */
static uint64_t padding_of(const measuring *m, const m3_store_entry *p)
{
    const m3_shards *shards = m->tr->shards;
    if (strcmp(p->name, M3_ITEM_PARAMETER) != 0 || p->shape.dim[0] == 0) return 0;
    return shards == NULL || shards->begin == 0 ? p->shape.dim[1] : 0;
}

/* Hand out the slices of one moment of one parameter, or its pieces. */
static m3_status read_moment(measuring *m, const char *prefix, const m3_store_entry *p, slice_fn take, double limit,
                             m3_error *err)
{
    m3_status st = M3_OK;
    char name[M3_ERROR_SUBJECT];
    const uint64_t count = m3_shape_count(&p->shape);
    const bool grouped = is_grouped(m, p);
    const uint64_t step = grouped ? count / p->shape.dim[0] : PIECE;
    (void)snprintf(name, sizeof name, "%s.%s", prefix, p->name);
    for (uint64_t at = padding_of(m, p), g = 0; st == M3_OK && at < count; at += step, g++) {
        const uint64_t some = count - at < step ? count - at : step;
        m3_part *part = part_of(m, p->name, grouped ? (uint32_t)g : 0);
        if (part == NULL) return M3_FAIL(err, M3_ERR_INTERNAL, p->name, "is of more parts than there can be");
        st = m3_store_read_part(m->tr->store, name, at * sizeof *m->data, m->data, some * sizeof *m->data, err);
        if (st == M3_OK) take(m, part, m->data, some, limit);
    }
    return st;
}

static void add_squares(measuring *m, m3_part *part, const float *v, uint64_t count, double limit)
{
    (void)m;
    (void)limit;
    part->count += count;
    for (uint64_t i = 0; i < count; i++) part->rms += (double)v[i];
}

/* 1 - beta^t, of steps that counted; without any, moments are 0. */
static double correction_of(const measuring *m, double beta)
{
    return m->tr->state.steps > 0 ? 1.0 - pow(beta, (double)m->tr->state.steps) : 1.0;
}

static void count_zero_m(measuring *m, m3_part *part, const float *values, uint64_t count, double limit)
{
    const double correction = correction_of(m, m->tr->config.beta1);
    for (uint64_t i = 0; i < count; i++) part->zeros += !(fabs((double)values[i]) > limit * correction);
}

static void count_zero_v(measuring *m, m3_part *part, const float *values, uint64_t count, double limit)
{
    const double correction = correction_of(m, m->tr->config.beta2);
    for (uint64_t i = 0; i < count; i++) part->zeros += !(sqrt((double)values[i] / correction) > limit);
}

/* Every parameter that has moments, in the order of the store. */
static m3_status read_all(measuring *m, bool squares, double limit, m3_error *err)
{
    m3_status st = M3_OK;
    for (uint32_t i = 0; st == M3_OK && i < m3_store_count(m->tr->store); i++) {
        m3_store_entry p, moment;
        char name[M3_ERROR_SUBJECT];
        m3_store_at(m->tr->store, i, &p);
        (void)snprintf(name, sizeof name, "adam.v.%s", p.name);
        if (!m3_store_find(m->tr->store, name, &moment)) continue;
        if (squares)
            st = read_moment(m, "adam.v", &p, add_squares, limit, err);
        else if (strcmp(p.name, M3_ITEM_PARAMETER) == 0)
            st = read_moment(m, "adam.v", &p, count_zero_v, limit, err);
        else
            st = read_moment(m, "adam.m", &p, count_zero_m, limit, err);
    }
    return st;
}

static m3_status prepare(measuring *m, m3_error *err)
{
    uint64_t largest = PIECE;
    const m3_store *store = m->tr->store;
    for (uint32_t i = 0; i < m3_store_count(store); i++) {
        m3_store_entry entry;
        m3_store_at(store, i, &entry);
        if (strncmp(entry.name, "adam.v.", 7) != 0) continue;
        entry.name += 7;
        const uint64_t slice = is_grouped(m, &entry) ? m3_shape_count(&entry.shape) / entry.shape.dim[0] : 0;
        if (slice > largest) largest = slice;
    }
    m->capacity = m3_store_count(store) + m->names->behavior_count * m->names->modality_count;
    m->parts = m3_calloc(m->capacity, sizeof *m->parts);
    m->data = m3_calloc((size_t)largest, sizeof *m->data);
    if (m->parts == NULL || m->data == NULL) return M3_FAIL_MEMORY(err, "instruments", largest * sizeof *m->data);
    return M3_OK;
}

/* A number of the table's part, of all ranks' rows. Others count in each rank alike. */
static m3_status add_shards(measuring *m, double *of_table, m3_error *err)
{
    const double mine = *of_table;
    return m->tr->shards != NULL ? m3_ranks_doubles(m->tr, &mine, of_table, err) : M3_OK;
}

static m3_status add_counts(measuring *m, uint64_t *of_table, m3_error *err)
{
    double all = (double)*of_table;
    const m3_status st = add_shards(m, &all, err);
    *of_table = (uint64_t)all;
    return st;
}

/* From sums of v to their roots; the median of those that are not 0. */
static m3_status finish_rms(measuring *m, double *usual, m3_error *err)
{
    uint32_t count = 0;
    const double correction = correction_of(m, m->tr->config.beta2);
    double *all = m3_calloc(m->count, sizeof *all);
    if (all == NULL) return M3_FAIL_MEMORY(err, "instruments", m->count * sizeof *all);
    for (uint32_t i = 0; i < m->count; i++) {
        m3_part *part = &m->parts[i];
        part->rms = part->count != 0 ? sqrt(part->rms / correction / (double)part->count) : 0.0;
        if (part->rms > 0.0) all[count++] = part->rms;
    }
    *usual = m3_median(all, count);
    m3_free(all);
    return M3_OK;
}

m3_status m3_parts_measure(m3_trainer *tr, const m3_sequence_names *names, m3_part **parts, uint32_t *count,
                           m3_error *err)
{
    m3_status st;
    double usual = 0.0;
    measuring m = {.tr = tr, .names = names};
    *parts = NULL;
    *count = 0;
    if ((st = prepare(&m, err)) != M3_OK) goto done;
    if ((st = read_all(&m, true, 0.0, err)) != M3_OK) goto done;
    m3_part *item = find_part(&m, M3_ITEM_PARAMETER);
    if (item == NULL) {
        st = M3_FAIL(err, M3_ERR_INTERNAL, M3_ITEM_PARAMETER, "is not among the parts");
        goto done;
    }
    if ((st = add_shards(&m, &item->rms, err)) != M3_OK) goto done;
    if ((st = add_counts(&m, &item->count, err)) != M3_OK) goto done;
    if ((st = finish_rms(&m, &usual, err)) != M3_OK) goto done;
    if ((st = read_all(&m, false, nothing * usual, err)) != M3_OK) goto done;
    if ((st = add_counts(&m, &item->zeros, err)) != M3_OK) goto done;
    for (uint32_t i = 0; i < m.count; i++)
        m.parts[i].zero = m.parts[i].count != 0 ? (double)m.parts[i].zeros / (double)m.parts[i].count : 1.0;
    *parts = m.parts;
    *count = m.count;
    m.parts = NULL; /* the caller owns them now */
done:
    m3_free(m.parts);
    m3_free(m.data);
    return st;
}
