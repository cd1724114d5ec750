/* join: checkpoints of a run that its ranks wrote in parts, as files that other tools read. */
#include <string.h>
#include <unistd.h>

#include "core/base/alloc.h"
#include "core/run/checkpoint.h"
#include "core/run/run.h"
#include "core/runtime/engine.h"
#include "m3bsr/train.h"

m3_status m3_checkpoint_join(const char *run, const char *checkpoint, const char *out, uint32_t *parts, m3_error *err)
{
    char *path = NULL;
    m3_status st = m3_run_checkpoint(run, checkpoint, &path, err);
    if (st == M3_OK) st = m3_run_check_output(run, out, err);
    if (st == M3_OK) st = m3_run_check_beside(path, out, err);
    if (st == M3_OK) st = m3_checkpoint_join_file(path, out, parts, err);
    m3_free(path);
    return st;
}

static m3_status join_in_place(const char *run, const char *name, bool *there, uint32_t *parts, m3_error *err)
{
    char *path = m3_run_path(run, name);
    if (path == NULL) return M3_FAIL_MEMORY(err, run, strlen(run) + 32);
    *there = access(path, F_OK) == 0;
    const m3_status st = *there ? m3_checkpoint_join_file(path, path, parts, err) : M3_OK;
    m3_free(path);
    return st;
}

m3_status m3_run_join(const char *run, m3_joined *joined, m3_error *err)
{
    m3_status st;
    m3_run folder = {0};
    m3_joined made = {.size = M3_STRUCT_SIZE(m3_joined, last_parts)};
    if ((st = m3_run_lock(&folder, run, err)) != M3_OK) goto done;
    if ((st = join_in_place(run, "best.safetensors", &made.best, &made.best_parts, err)) != M3_OK) goto done;
    if ((st = join_in_place(run, "last.safetensors", &made.last, &made.last_parts, err)) != M3_OK) goto done;
    if (!made.best && !made.last)
        st = M3_FAIL(err, M3_ERR_INVALID, run, "has neither best.safetensors nor last.safetensors; train first");
    else if (joined != NULL)
        m3_copy_out(joined, &made, joined->size, made.size);
done:
    m3_run_close(&folder);
    return st;
}
