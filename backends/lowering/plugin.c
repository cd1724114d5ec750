/* plugin: values of device options. */
#include "backends/lowering/plugin.h"
#include "backends/lowering/keep.h"
#include "backends/lowering/variants.h"

#include <string.h>

m3_status lower_read_variant(m3_span options, const char **variant, m3_error *err)
{
    const char *name = m3_options_text(options, "variant", "");
    *variant = lower_variant_named(name);
    if (*variant != NULL || name[0] == 0) return M3_OK;
    return M3_FAIL(err, M3_ERR_INVALID, "variant",
                   "'%s' is no variant of a kernel; the files that `m3bsr tune` writes name them", name);
}

/* What the option says, in memory of its own; NULL when it was not given. */
static m3_status copy_option(const m3_host *host, m3_span options, const char *key, char **copy, m3_error *err)
{
    const char *text = m3_options_text(options, key, NULL);
    *copy = NULL;
    if (text == NULL) return M3_OK;
    const size_t bytes = strlen(text) + 1;
    *copy = host->allocate(host->user, bytes, 1);
    if (*copy == NULL) return M3_FAIL_MEMORY(err, key, bytes);
    memcpy(*copy, text, bytes);
    return M3_OK;
}

m3_status lower_read_refused(const m3_host *host, m3_span options, char **refused, m3_error *err)
{
    return copy_option(host, options, "refuse", refused, err);
}

m3_status lower_read_keep(const m3_host *host, m3_span options, char **folder, m3_error *err)
{
    const m3_status st = copy_option(host, options, "keep", folder, err);
    return st == M3_OK && *folder != NULL ? lower_keep_open(*folder, err) : st;
}
