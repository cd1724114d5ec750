/* collectives: the checks of a collectives plugin, with a thread for each rank of this process. */
#include "core/conformance/collectives.h"

#include <string.h>

#include "core/base/alloc.h"
#include "m3bsr/conformance.h"

enum { CHECKS = 16, TEXT = 400 };

/* What one rank found in one check; ranks tell it to each other. */
typedef struct verdict {
    uint32_t failed;
    char text[TEXT];
} verdict;

typedef struct gang gang;

/* What one rank does, in a thread. */
typedef struct job {
    gang *all;
    m3_rank_probe probe;
    verdict verdicts[CHECKS];
} job;

struct gang {
    const m3_rank_check *checks;
    bool lasting;         /* the checks leave the group as it was: all are made, and ranks tell each other */
    pthread_mutex_t gate; /* held until all threads are there */
    bool called_off;
    pthread_barrier_t barrier;
    job jobs[];
};

static verdict judge(const m3_rank_probe *p, m3_status st, const m3_error *err)
{
    verdict v = {.failed = st != M3_OK || p->wrong[0] != 0};
    if (v.failed)
        (void)snprintf(v.text, sizeof v.text, "rank %u: %.380s", p->rank, st != M3_OK ? err->message : p->wrong);
    return v;
}

/* All ranks get what the first of those found that failed. */
static m3_status share(const m3_rank_probe *p, verdict *v, m3_error *err)
{
    verdict *all = m3_calloc(p->ranks, sizeof *all);
    if (all == NULL) {
        const m3_status none = M3_FAIL_MEMORY(err, "conformance", p->ranks * sizeof *all);
        m3_member_fail(p->member, err);
        return none;
    }
    const m3_status st = m3_member_gather(p->member, v, sizeof *v, all, err);
    for (uint32_t i = 0; i < p->ranks && st == M3_OK && !v->failed; i++) *v = all[i];
    m3_free(all);
    return st;
}

static void *run_rank(void *arg)
{
    job *j = arg;
    m3_rank_probe *p = &j->probe;
    m3_status st = M3_OK;
    m3_error err = {0};
    (void)pthread_mutex_lock(&j->all->gate);
    const bool called_off = j->all->called_off;
    (void)pthread_mutex_unlock(&j->all->gate);
    for (uint32_t i = 0; !called_off && j->all->checks[i].name != NULL; i++) {
        p->wrong[0] = 0;
        if (st == M3_OK) st = j->all->checks[i].run(p, &err);
        j->verdicts[i] = judge(p, st, &err);
        if (!j->all->lasting) break;
        if (st == M3_OK && (st = share(p, &j->verdicts[i], &err)) != M3_OK) j->verdicts[i] = judge(p, st, &err);
    }
    return NULL;
}

/* Let the ranks of this process make the checks. */
static m3_status run_gang(gang *g, m3_group *group, m3_error *err)
{
    const uint32_t here = m3_group_here(group);
    pthread_t *threads = m3_calloc(here, sizeof *threads);
    uint32_t begun = 1; /* rank 0 of this process is the caller */
    if (threads == NULL) return M3_FAIL_MEMORY(err, "conformance", here * sizeof *threads);
    (void)pthread_mutex_init(&g->gate, NULL);
    (void)pthread_barrier_init(&g->barrier, NULL, here);
    for (uint32_t i = 0; i < here; i++) {
        m3_member *member = m3_group_member(group, i);
        g->jobs[i].all = g;
        g->jobs[i].probe = (m3_rank_probe){.member = member,
                                           .rank = m3_member_rank(member),
                                           .ranks = m3_member_count(member),
                                           .barrier = here == m3_group_ranks(group) ? &g->barrier : NULL};
    }
    (void)pthread_mutex_lock(&g->gate);
    while (begun < here && pthread_create(&threads[begun], NULL, run_rank, &g->jobs[begun]) == 0) begun++;
    g->called_off = begun < here;
    (void)pthread_mutex_unlock(&g->gate);
    (void)run_rank(&g->jobs[0]);
    for (uint32_t i = 1; i < begun; i++) (void)pthread_join(threads[i], NULL);
    (void)pthread_barrier_destroy(&g->barrier);
    (void)pthread_mutex_destroy(&g->gate);
    m3_free(threads);
    if (!g->called_off) return M3_OK;
    return M3_FAIL(err, M3_ERR_MEMORY, "conformance", "the system gave %u of %u threads", begun, here);
}

static void tell(const m3_collectives_options *options, m3_collectives_report *report, const m3_rank_check *check,
                 const verdict *v)
{
    const m3_collectives_finding finding = {.size = M3_STRUCT_SIZE(m3_collectives_finding, first),
                                            .name = check->name,
                                            .about = check->about,
                                            .passed = !v->failed,
                                            .text = v->text,
                                            .first = report->first};
    report->run++;
    report->failed += v->failed;
    if (options->done != NULL) options->done(options->user, &finding);
}

/* Checks in a group of their own. @param whole  Whether this process has all its ranks. */
static m3_status run_group(m3_engine *engine, const char *plugin, const m3_collectives_options *options,
                           const m3_rank_check *checks, bool lasting, bool *whole, m3_collectives_report *report,
                           m3_error *err)
{
    m3_group *group = NULL;
    const double seconds = checks->seconds > 0 ? checks->seconds : options->seconds;
    gang *g = m3_calloc(1, sizeof *g + options->here * sizeof *g->jobs);
    if (g == NULL) return M3_FAIL_MEMORY(err, plugin, sizeof *g + options->here * sizeof *g->jobs);
    g->checks = checks;
    g->lasting = lasting;
    m3_status st = m3_group_open(engine, plugin, options->here, seconds, options->options, &group, err);
    if (st != M3_OK) goto done;
    *whole = m3_group_here(group) == m3_group_ranks(group);
    report->ranks = m3_group_ranks(group);
    report->first = m3_group_first(group);
    (void)snprintf(report->name, sizeof report->name, "%s", m3_group_name(group));
    if ((st = run_gang(g, group, err)) != M3_OK) goto done;
    for (uint32_t i = 0; checks[i].name != NULL && (lasting || i == 0); i++) {
        const verdict *v = &g->jobs[0].verdicts[i];
        for (uint32_t j = 1; j < options->here && !v->failed; j++) v = &g->jobs[j].verdicts[i];
        tell(options, report, &checks[i], v);
    }
done:
    m3_group_close(group);
    m3_free(g);
    return st;
}

m3_status m3_conformance_collectives(m3_engine *engine, const char *plugin, const m3_collectives_options *options,
                                     m3_collectives_report *report, m3_error *err)
{
    bool whole = false;
    *report = (m3_collectives_report){.size = M3_STRUCT_SIZE(m3_collectives_report, name)};
    if (options->here == 0) return M3_FAIL(err, M3_ERR_INVALID, plugin, "0 ranks are no group; ask for at least 1");
    m3_status st = run_group(engine, plugin, options, m3_rank_checks, true, &whole, report, err);
    for (uint32_t i = 0; whole && options->here > 1 && m3_rank_faults[i].name != NULL && st == M3_OK; i++)
        st = run_group(engine, plugin, options, &m3_rank_faults[i], false, &whole, report, err);
    return st;
}
