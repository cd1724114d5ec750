/* prefetch: see the header. The lists of two steps to come are kept: `next` has been asked for and marked when the step
 * before it begins, so that the rows that come soon can be read from the device before its batches keep it busy, and
 * go over beside them; `after` is asked for meanwhile. Then the lists move up. */
#include "core/train/prefetch.h"

#include <string.h>

#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/model/model.h"
#include "core/passes/pass.h"
#include "core/train/ranks.h"

/* A step to come. */
typedef struct ahead {
    bool asked;     /* its owners know; where rows come soon, they have said which */
    uint32_t epoch; /* the step that it is: */
    m3_step_samples step;
    uint64_t own_first; /* this rank's batches of it */
    uint32_t own_count;
    m3_window window; /* ids and places are its own, the rest is the trainer's window's */
    m3_trade trade;   /* lean */
} ahead;

struct m3_prefetch {
    m3_trainer *tr;
    ahead next, after;
    float *rows;  /* [window's rows - 1][d] of the next step: those that came soon, then the others */
    bool is_lazy; /* rows that a step does not touch stay as they are */
};

enum { POSTS = 2 };

uint32_t m3_prefetch_posts(const m3_shards *shards)
{
    return shards != NULL && shards->prefetch != NULL ? POSTS : 0;
}

static m3_status init_ahead(const m3_trainer *tr, ahead *a, m3_error *err)
{
    const m3_window *w = tr->window;
    a->window = *w;
    a->window.ids = m3_calloc(w->rows, sizeof *w->ids);
    a->window.places = m3_calloc(w->items, sizeof *w->places);
    if (a->window.ids == NULL || a->window.places == NULL)
        return M3_FAIL_MEMORY(err, "prefetch", w->rows * sizeof *w->ids + w->items * sizeof *w->places);
    const m3_status st = m3_trade_init(&a->trade, tr->shared.member, w->total, tr->shards->width, err);
    a->trade.lean = true;
    return st;
}

static void fini_ahead(ahead *a)
{
    m3_free(a->window.ids);
    m3_free(a->window.places);
    m3_trade_fini(&a->trade);
}

m3_status m3_prefetch_create(m3_trainer *tr, m3_prefetch **prefetch, m3_error *err)
{
    const uint64_t bytes = (uint64_t)(tr->window->rows - 1) * tr->shards->width * sizeof(float);
    *prefetch = NULL;
    if (!m3_pass_enabled(tr->options.no_pass, "overlap") || tr->config.loss != M3_LOSS_SAMPLED ||
        m3_data_loader_batches(tr->loader) <= tr->keys.accumulate)
        return M3_OK;
    m3_prefetch *p = m3_calloc(1, sizeof *p);
    if (p == NULL) return M3_FAIL_MEMORY(err, "prefetch", sizeof *p);
    p->tr = tr;
    p->is_lazy = m3_model_is_lazy(&tr->config);
    m3_status st = init_ahead(tr, &p->next, err);
    if (st == M3_OK) st = init_ahead(tr, &p->after, err);
    if (st == M3_OK && (p->rows = m3_calloc(bytes, 1)) == NULL) st = M3_FAIL_MEMORY(err, "prefetch", bytes);
    if (st == M3_OK)
        *prefetch = p;
    else
        m3_prefetch_free(p);
    return st;
}

void m3_prefetch_free(m3_prefetch *p)
{
    if (p == NULL) return;
    fini_ahead(&p->next);
    fini_ahead(&p->after);
    m3_free(p->rows);
    m3_free(p);
}

/* Which step. */

/* The one `steps` behind that at hand. False: the epoch ends before. */
static bool aim(const m3_trainer *tr, uint64_t steps, ahead *a)
{
    const m3_shared *s = &tr->shared;
    const uint64_t all = m3_data_loader_batches(tr->loader), batch = tr->state.batch + steps * tr->keys.accumulate;
    a->asked = false;
    if (batch >= all) return false;
    const uint64_t batches = all - batch < tr->keys.accumulate ? all - batch : tr->keys.accumulate;
    const uint64_t begin = m3_share_begin(batches, s->rank, s->count);
    a->epoch = tr->state.epoch;
    a->step = m3_data_loader_step(tr->loader, batch, (uint32_t)batches, false);
    a->own_first = batch + begin;
    a->own_count = (uint32_t)(m3_share_begin(batches, s->rank + 1, s->count) - begin);
    return true;
}

static bool is_known(const m3_trainer *tr, uint64_t steps, const ahead *a)
{
    return a->asked && a->epoch == tr->state.epoch && a->step.first == tr->state.batch + steps * tr->keys.accumulate;
}

/* Exchanges. */

/* @param before  What the step before asked for; NULL: it is over. @param begin  When the first exchange began. */
static m3_status ask(m3_prefetch *p, ahead *a, const m3_trade *before, double *begin, m3_error *err)
{
    m3_window *w = &a->window;
    (void)m3_window_name(p->tr, w, &a->step, a->own_first, a->own_count);
    *begin = m3_seconds();
    m3_status st = m3_trade_ask(&a->trade, w->ids + 1, w->used - 1, err);
    if (st == M3_OK && before != NULL && p->is_lazy) st = m3_trade_mark(&a->trade, before, err);
    a->asked = st == M3_OK;
    return st;
}

static m3_status ask_after(void *user, double *begin, m3_error *err)
{
    m3_prefetch *p = user;
    return ask(p, &p->after, &p->next.trade, begin, err);
}

static m3_status give_soon(void *user, double *begin, m3_error *err)
{
    m3_prefetch *p = user;
    (void)begin;
    return m3_trade_give_some(&p->next.trade, true, p->tr->shards->trade.rows, p->rows, err);
}

/* The first steps of an epoch, or of a training that goes on: all ranks wait for it. */
static m3_status ask_now(m3_prefetch *p, uint64_t steps, const m3_trade *before, m3_error *err)
{
    m3_trainer *tr = p->tr;
    double begin = 0.0;
    const uint64_t sent = m3_member_sent(tr->shared.member);
    if (!aim(tr, steps, &p->next)) return M3_OK;
    const m3_status st = m3_ranks_heard(tr, ask(p, &p->next, before, &begin, err));
    return st == M3_OK ? m3_ranks_traced(tr, "ids", begin, m3_member_sent(tr->shared.member) - sent, err) : st;
}

/* The lists of the step at hand take the place of those of the one before. */
static m3_status take_next(m3_prefetch *p, m3_error *err)
{
    m3_trainer *tr = p->tr;
    m3_status st;
    if (!is_known(tr, 0, &p->next) && (st = ask_now(p, 0, NULL, err)) != M3_OK) return st;
    const m3_window window = *tr->window;
    *tr->window = p->next.window;
    p->next.window = window;
    m3_trade_swap(&tr->shards->trade, &p->next.trade);
    p->next.asked = false;
    if (!is_known(tr, 1, &p->after)) return M3_OK;
    const ahead other = p->next;
    p->next = p->after;
    p->after = other;
    p->after.asked = false;
    return M3_OK;
}

/* What did not come soon, and with it the window. */
static m3_status fill(m3_prefetch *p, m3_error *err)
{
    m3_status st;
    m3_trainer *tr = p->tr;
    m3_shards *s = tr->shards;
    const uint64_t late = m3_trade_list(&s->trade, false);
    float *to = p->rows + m3_trade_soon(&s->trade) * s->width;
    if ((st = m3_trade_make_room(&s->trade, late, err)) != M3_OK) return st;
    if ((st = m3_shards_read(tr, s->trade.some, late, s->trade.rows, err)) != M3_OK) return st;
    const double begin = m3_seconds();
    const uint64_t sent = m3_member_sent(tr->shared.member);
    st = m3_ranks_heard(tr, m3_trade_give_some(&s->trade, false, s->trade.rows, to, err));
    if (st == M3_OK) st = m3_ranks_traced(tr, "rows late", begin, m3_member_sent(tr->shared.member) - sent, err);
    if (st != M3_OK) return st;
    m3_trade_merge(&s->trade, p->rows, s->host + s->width);
    return m3_shards_put(tr, err);
}

/* Rows of the next step that this one leaves as they are, and ids of the one after it. */
static m3_status start_next(m3_prefetch *p, m3_error *err)
{
    m3_status st;
    m3_trainer *tr = p->tr;
    m3_shards *s = tr->shards;
    if (!is_known(tr, 1, &p->next) && (st = ask_now(p, 1, &s->trade, err)) != M3_OK) return st;
    if (!p->next.asked) return M3_OK; /* the epoch ends */
    if (p->is_lazy) {
        const uint64_t soon = m3_trade_list(&p->next.trade, true);
        if ((st = m3_trade_make_room(&s->trade, soon, err)) != M3_OK) return st;
        if ((st = m3_shards_read(tr, p->next.trade.some, soon, s->trade.rows, err)) != M3_OK) return st;
        m3_sums_post_work(tr->shared.sums, "rows early", give_soon, p);
    }
    if (aim(tr, 2, &p->after)) m3_sums_post_work(tr->shared.sums, "ids", ask_after, p);
    return M3_OK;
}

m3_status m3_prefetch_open(m3_trainer *tr, m3_error *err)
{
    m3_status st;
    m3_prefetch *p = tr->shards->prefetch;
    if ((st = take_next(p, err)) != M3_OK) return st;
    if ((st = fill(p, err)) != M3_OK) return st;
    return start_next(p, err);
}
