/* synth: data whose truth is known, so that learning and denoising can be measured. synth.h has the parts. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/philox.h"
#include "core/data/synth/synth.h"

/* Draws. */

m3_synth_draws m3_synth_draws_for(const m3_synth *s, m3_synth_purpose purpose, uint32_t object, uint32_t part)
{
    return (m3_synth_draws){.key = {(uint32_t)s->o.seed, (uint32_t)(s->o.seed >> 32)},
                            .counter = {0, object, part, (uint32_t)purpose}};
}

uint32_t m3_synth_draw(m3_synth_draws *d)
{
    if (d->left == 0) {
        m3_philox4x32_10(d->counter, d->key, d->block);
        d->counter[0]++;
        d->left = 4;
    }
    return d->block[--d->left];
}

double m3_synth_draw_uniform(m3_synth_draws *d)
{
    return m3_synth_draw(d) / 4294967296.0;
}

uint32_t m3_synth_draw_below(m3_synth_draws *d, uint32_t bound)
{
    return (uint32_t)((uint64_t)m3_synth_draw(d) * bound >> 32);
}

/* Box and Muller, one of the pair. */
double m3_synth_draw_normal(m3_synth_draws *d)
{
    double u = (m3_synth_draw(d) + 0.5) / 4294967296.0, v = m3_synth_draw_uniform(d);
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v);
}

/* All parts. */

static int by_time(const void *a, const void *b)
{
    const m3_synth_event *x = a, *y = b;
    if (x->time != y->time) return x->time < y->time ? -1 : 1;
    if (x->user != y->user) return x->user < y->user ? -1 : 1;
    return x->behavior == y->behavior ? 0 : x->behavior < y->behavior ? -1 : 1;
}

static m3_status allocate(m3_synth *s, m3_error *err)
{
    size_t items = s->o.items, cells = s->o.modalities > 0 ? items * s->o.width : 0;
    if ((s->cluster = m3_calloc(items, sizeof *s->cluster)) == NULL ||
        (s->starts = m3_calloc((size_t)s->o.clusters + 1, sizeof *s->starts)) == NULL ||
        (s->users = m3_calloc(s->o.users, sizeof *s->users)) == NULL ||
        (s->clean = m3_calloc(cells, sizeof *s->clean)) == NULL ||
        (s->noisy = m3_calloc(cells, sizeof *s->noisy)) == NULL ||
        (s->is_noise = m3_calloc(items, M3_SYNTH_MODALITIES)) == NULL)
        return M3_FAIL_MEMORY(err, "synth",
                              items * (sizeof *s->cluster + M3_SYNTH_MODALITIES) + 2 * cells * sizeof(float));
    return M3_OK;
}

static void release(m3_synth *s)
{
    for (uint32_t r = 0; r < M3_SYNTH_RINGS; r++) {
        m3_free(s->rings[r].place);
        m3_free(s->rings[r].members);
    }
    m3_free(s->cluster);
    m3_free(s->starts);
    m3_free(s->rank);
    m3_free(s->users);
    m3_free(s->events);
    m3_free(s->clean);
    m3_free(s->noisy);
    m3_free(s->is_noise);
}

m3_status m3_data_synth(const m3_synth_options *options, const char *directory, m3_error *err)
{
    m3_synth s = {0};
    char *truth = NULL;
    m3_status st = m3_synth_read_options(&s, options, err);
    if (st != M3_OK) return st;
    if ((truth = m3_strfmt("%s/truth", directory)) == NULL) {
        st = M3_FAIL_MEMORY(err, directory, strlen(directory) + 7);
        goto done;
    }
    if ((st = m3_synth_check_place(directory, truth, err)) != M3_OK) goto done;
    if ((st = allocate(&s, err)) != M3_OK) goto done;
    if ((st = m3_synth_place_items(&s, err)) != M3_OK) goto done;
    for (uint32_t u = 0; u < s.o.users; u++)
        if ((st = m3_synth_add_user_events(&s, u, err)) != M3_OK) goto done;
    if ((st = m3_synth_choose_accidents(&s, err)) != M3_OK) goto done;
    if (s.count > 0) qsort(s.events, s.count, sizeof *s.events, by_time);
    st = m3_synth_write(&s, directory, truth, err);
done:
    m3_free(truth);
    release(&s);
    return st;
}
