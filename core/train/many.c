/* many: m3_train_ranks(): the ranks of this process, each in a thread of its own. */
#include <pthread.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/runtime/engine.h"
#include "core/train/ranks.h"

typedef struct one_rank {
    m3_trainer tr;
    const char *run;
    m3_train_options options;
    m3_train_result result;
    m3_status status;
    bool heard; /* its error is another rank's */
    m3_error error;
} one_rank;

static void *train_rank(void *arg)
{
    one_rank *r = arg;
    m3_member *member = r->tr.shared.member;
    r->status = m3_trainer_train(&r->tr, r->run, &r->options, &r->result, &r->error);
    if (r->status != M3_OK && r->error.code == M3_OK) /* a backend that says nothing; the others must hear of it */
        (void)M3_FAIL(&r->error, r->status, m3_device_name(r->tr.device), "failed with status %d, and did not say why",
                      (int)r->status);
    const bool known = r->tr.shared.heard || r->tr.shared.known;
    r->heard = r->tr.shared.heard || (known && r->tr.shared.rank != 0);
    if (r->status != M3_OK && r->status != M3_ERR_INTERRUPTED && !known) m3_member_fail(member, &r->error);
    return NULL;
}

/* The threads but the first, which is the caller's. A rank whose thread cannot be made ends the others. */
static void run_threads(one_rank *ranks, uint32_t count, pthread_t *threads)
{
    uint32_t started = 1;
    for (int failed = 0; failed == 0 && started < count; started += failed == 0) {
        failed = pthread_create(&threads[started], NULL, train_rank, &ranks[started]);
        if (failed == 0) continue;
        one_rank *r = &ranks[started];
        r->status = M3_FAIL(&r->error, M3_ERR_MEMORY, "threads", "a thread for rank %u could not be started: %s",
                            r->tr.shared.rank, strerror(failed));
        m3_member_fail(r->tr.shared.member, &r->error);
    }
    (void)train_rank(&ranks[0]);
    for (uint32_t i = 1; i < started; i++) (void)pthread_join(threads[i], NULL);
}

/* The error of a rank that has one of its own comes first. */
static const one_rank *find_cause(const one_rank *ranks, uint32_t count)
{
    const one_rank *cause = &ranks[0];
    for (uint32_t i = 0; i < count; i++)
        if (ranks[i].status != M3_OK && (cause->status == M3_OK || (cause->heard && !ranks[i].heard)))
            cause = &ranks[i];
    return cause;
}

/* Ranks that are told to end all get the words of the one that failed; its own lack its number. */
static void tell(const one_rank *cause, m3_error *err)
{
    if (err == NULL || err->code != M3_OK) return;
    *err = cause->error;
    const bool is_input = cause->status == M3_ERR_INVALID || cause->status == M3_ERR_RANGE; /* whoever found it */
    if (!cause->heard && !is_input && cause->status != M3_ERR_INTERRUPTED)
        (void)snprintf(err->message, sizeof err->message, "%.900s (rank %u, device %s)", cause->error.message,
                       cause->tr.shared.rank, m3_device_name(cause->tr.device));
}

static void prepare(one_rank *r, m3_member *member, const m3_rank_device *device, const m3_settings *settings,
                    const char *run, const m3_train_options *options)
{
    r->run = run;
    r->result.size = M3_STRUCT_SIZE(m3_train_result, told);
    r->tr.device = device->device;
    r->tr.settings = settings;
    r->tr.shared = (m3_shared){.member = member, .rank = m3_member_rank(member), .count = m3_member_count(member)};
    if (options != NULL)
        memcpy(&r->options, options, options->size < sizeof r->options ? options->size : sizeof r->options);
    r->options.size = sizeof r->options;
    r->options.fallbacks = device->fallbacks;
    if (r->tr.shared.rank != 0) r->options.profile = NULL;
}

m3_status m3_train_ranks(m3_group *group, m3_span devices, const m3_settings *settings, const char *run,
                         const m3_train_options *options, m3_train_result *result, m3_error *err)
{
    const uint32_t count = m3_group_here(group);
    one_rank *ranks = m3_calloc(count, sizeof *ranks);
    pthread_t *threads = m3_calloc(count, sizeof *threads);
    if (ranks == NULL || threads == NULL) {
        m3_free(threads);
        m3_free(ranks);
        return M3_FAIL_MEMORY(err, "ranks", count * sizeof *ranks);
    }
    for (uint32_t i = 0; i < count; i++) {
        prepare(&ranks[i], m3_group_member(group, i), m3_span_at(devices, i), settings, run, options);
        if (i > 0) ranks[i].options.progress = NULL; /* the caller hears of one */
    }
    run_threads(ranks, count, threads);
    const one_rank *cause = find_cause(ranks, count);
    m3_train_result *first = &ranks[0].result;
    const m3_status st = cause->status;
    tell(cause, err);
    first->told = st != M3_OK && ranks[0].tr.shared.rank != 0 &&
                  (st == M3_ERR_INTERRUPTED || (cause->heard && st != M3_ERR_DEVICE_LOST));
    if (result != NULL) m3_copy_out(result, first, result->size, first->size);
    m3_free(threads);
    m3_free(ranks);
    return st;
}
