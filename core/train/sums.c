/* sums: see the header. */
#include "core/train/sums.h"

#include <pthread.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/clock.h"

typedef struct job {
    float *values;
    uint64_t count, value;
    m3_sums_work work; /* NULL: a bucket */
    void *user;
    m3_sum_time time;
} job;

struct m3_sums {
    m3_member *member;
    const m3_store *store;
    pthread_t thread;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    bool ends;
    uint32_t posted, done, finished;
    m3_status status; /* the first failure, with its error; what is posted after it is not summed */
    bool heard;
    m3_error error;
    double exposed, hidden; /* seconds waited by the computing thread, and by this one */
    job jobs[];
};

/* The copy to the host is waited for whatever has failed: it writes into memory that is freed afterwards. @param own It
 * failed by this rank itself. */
static m3_status add_bucket(const m3_sums *s, job *j, bool failed, bool *own, m3_error *err)
{
    m3_status st = m3_store_wait(s->store, j->value, err);
    *own = st != M3_OK;
    j->time = (m3_sum_time){.begin = m3_seconds(), .bytes = j->count * sizeof(float)};
    if (st == M3_OK && !failed) st = m3_member_sum(s->member, j->values, j->count, err);
    return st;
}

static m3_status do_work(const m3_sums *s, job *j, bool failed, bool *own, m3_error *err)
{
    const uint64_t before = m3_member_sent(s->member);
    j->time.begin = m3_seconds();
    const m3_status st = failed ? M3_OK : j->work(j->user, &j->time.begin, err);
    *own = st == M3_ERR_MEMORY;
    j->time.bytes = m3_member_sent(s->member) - before;
    return st;
}

static void do_next(m3_sums *s, job *j, bool failed)
{
    m3_error err = {0};
    bool own = false;
    const double before = m3_member_waited(s->member);
    const m3_status st = j->work != NULL ? do_work(s, j, failed, &own, &err) : add_bucket(s, j, failed, &own, &err);
    j->time.end = m3_seconds();
    (void)pthread_mutex_lock(&s->lock);
    s->hidden += m3_member_waited(s->member) - before;
    if (s->status == M3_OK && st != M3_OK) {
        s->status = st;
        s->heard = !own;
        s->error = err;
    }
    s->done++;
    (void)pthread_cond_broadcast(&s->changed);
    (void)pthread_mutex_unlock(&s->lock);
}

static void *run(void *arg)
{
    m3_sums *s = arg;
    for (;;) {
        (void)pthread_mutex_lock(&s->lock);
        while (s->done == s->posted && !s->ends) (void)pthread_cond_wait(&s->changed, &s->lock);
        job *next = s->done < s->posted ? &s->jobs[s->done] : NULL;
        const bool failed = s->status != M3_OK;
        (void)pthread_mutex_unlock(&s->lock);
        if (next == NULL) return NULL;
        do_next(s, next, failed);
    }
}

static m3_status start(m3_sums *s, m3_error *err)
{
    int failed = pthread_mutex_init(&s->lock, NULL);
    if (failed != 0)
        return M3_FAIL(err, M3_ERR_MEMORY, "threads", "there is no lock for sums of gradients: %s", strerror(failed));
    if ((failed = pthread_cond_init(&s->changed, NULL)) == 0) {
        if ((failed = pthread_create(&s->thread, NULL, run, s)) == 0) return M3_OK;
        (void)pthread_cond_destroy(&s->changed);
    }
    (void)pthread_mutex_destroy(&s->lock);
    return M3_FAIL(err, M3_ERR_MEMORY, "threads", "a thread for sums of gradients could not be started: %s",
                   strerror(failed));
}

m3_status m3_sums_create(m3_member *member, const m3_store *store, uint32_t most, m3_sums **sums, m3_error *err)
{
    const size_t bytes = sizeof **sums + most * sizeof(job);
    m3_sums *s = m3_calloc(1, bytes);
    *sums = NULL;
    if (s == NULL) return M3_FAIL_MEMORY(err, "sums of gradients", bytes);
    s->member = member;
    s->store = store;
    const m3_status st = start(s, err);
    if (st == M3_OK)
        *sums = s;
    else
        m3_free(s);
    return st;
}

void m3_sums_free(m3_sums *s)
{
    if (s == NULL) return;
    (void)pthread_mutex_lock(&s->lock);
    s->ends = true;
    (void)pthread_cond_broadcast(&s->changed);
    (void)pthread_mutex_unlock(&s->lock);
    (void)pthread_join(s->thread, NULL);
    (void)pthread_cond_destroy(&s->changed);
    (void)pthread_mutex_destroy(&s->lock);
    m3_free(s);
}

static void post(m3_sums *s, job next)
{
    (void)pthread_mutex_lock(&s->lock);
    s->jobs[s->posted++] = next;
    (void)pthread_cond_broadcast(&s->changed);
    (void)pthread_mutex_unlock(&s->lock);
}

void m3_sums_post(m3_sums *s, float *values, uint64_t count, uint64_t value)
{
    post(s, (job){.values = values, .count = count, .value = value});
}

void m3_sums_post_work(m3_sums *s, const char *what, m3_sums_work work, void *user)
{
    post(s, (job){.work = work, .user = user, .time.what = what});
}

m3_status m3_sums_finish(m3_sums *s, bool *heard, m3_error *err)
{
    const double begin = m3_seconds();
    (void)pthread_mutex_lock(&s->lock);
    while (s->done < s->posted) (void)pthread_cond_wait(&s->changed, &s->lock);
    s->exposed += m3_seconds() - begin;
    s->finished = s->posted;
    s->posted = s->done = 0;
    const m3_status st = s->status;
    *heard = s->heard;
    if (st != M3_OK && err != NULL && err->code == M3_OK) *err = s->error;
    (void)pthread_mutex_unlock(&s->lock);
    return st;
}

uint32_t m3_sums_finished(const m3_sums *s)
{
    return s->finished;
}

m3_sum_time m3_sums_time(const m3_sums *s, uint32_t index)
{
    return s->jobs[index].time;
}

double m3_sums_waited(const m3_sums *s)
{
    return s != NULL ? s->exposed - s->hidden : 0.0;
}
