/* shards_watch: rank 0 measures its instruments over a table in shards. Each of its runs sees a window of what its
 * batch names, and the other ranks give the rows. Before each it says whether it was asked to stop. */
#include <string.h>

#include "core/train/ranks.h"
#include "core/train/shards.h"

m3_status m3_shards_place(void *trainer, int32_t *ids, uint64_t count, m3_error *err)
{
    m3_trainer *tr = trainer;
    m3_window *w = tr->window;
    bool cut = tr->options.stop != NULL && *tr->options.stop != 0;
    m3_status st = m3_ranks_hear(tr, &cut, err);
    if (st != M3_OK || cut) return st != M3_OK ? st : M3_ERR_INTERRUPTED;
    memcpy(w->places, ids, count * sizeof *ids);
    m3_window_find(w, w->places, count);
    memcpy(ids, w->places, count * sizeof *ids);
    return m3_shards_fill(tr, err);
}

m3_status m3_shards_help(m3_trainer *tr, uint64_t runs, m3_error *err)
{
    m3_status st = M3_OK;
    for (uint64_t i = 0; st == M3_OK && i < runs; i++) {
        bool cut = false;
        if ((st = m3_ranks_hear(tr, &cut, err)) != M3_OK || cut) return st != M3_OK ? st : M3_ERR_INTERRUPTED;
        m3_window_find(tr->window, tr->window->places, 0); /* nothing but the padding */
        st = m3_shards_fill(tr, err);
    }
    return st;
}
