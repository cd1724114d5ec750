/* builds: kernels are compiled side by side, on the host's threads. */
#include "backends/lowering/builds.h"

typedef struct builds {
    const m3_host *host;
    lower_build_fn build;
    void *user;
    uint32_t count;
    pthread_mutex_t lock;  /* of what follows */
    uint32_t done, failed; /* failed: the lowest index that did, else count */
    m3_error failure;
} builds;

static void tell(const builds *b, uint32_t done)
{
    if (M3_HAS(b->host, m3_host, progress) && b->host->progress != NULL)
        b->host->progress(b->host->user, "compiling kernels", done, b->count);
}

static void run(void *arg, uint32_t index, uint32_t worker)
{
    builds *b = arg;
    m3_error failure = {0};
    (void)worker;
    pthread_mutex_lock(&b->lock);
    const bool wanted = index < b->failed;
    pthread_mutex_unlock(&b->lock);
    if (!wanted) return;
    const m3_status st = b->build(b->user, index, &failure);
    pthread_mutex_lock(&b->lock);
    if (st != M3_OK && index < b->failed) {
        b->failed = index;
        b->failure = failure;
        b->failure.code = st;
    }
    if (++b->done < b->count) tell(b, b->done);
    pthread_mutex_unlock(&b->lock);
}

m3_status lower_build_all(const m3_host *host, pthread_mutex_t *turn, uint32_t count, lower_build_fn build, void *user,
                          m3_error *err)
{
    builds b = {.host = host, .build = build, .user = user, .count = count, .failed = count};
    if (count == 0) return M3_OK;
    pthread_mutex_init(&b.lock, NULL);
    tell(&b, 0);
    pthread_mutex_lock(turn);
    host->parallel(host->user, count, run, &b);
    pthread_mutex_unlock(turn);
    tell(&b, count);
    pthread_mutex_destroy(&b.lock);
    if (b.failed == count) return M3_OK;
    if (err != NULL && err->code == M3_OK) *err = b.failure;
    return b.failure.code;
}
