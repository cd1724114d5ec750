/* plugin: values of device options. */
#include "backends/lowering/plugin.h"
#include "backends/lowering/variants.h"

#include <string.h>

m3_status lower_read_variant(m3_span options, const char **variant, m3_error *err)
{
    const char *name = m3_options_text(options, "variant", "");
    *variant = lower_variant_named(name);
    if (*variant != NULL || name[0] == 0) return M3_OK;
    return M3_FAIL(err, M3_ERR_INVALID, "variant",
                   "'%s' is no variant of a product; the files that `m3bsr tune` writes name them", name);
}

m3_status lower_read_refused(const m3_host *host, m3_span options, char **refused, m3_error *err)
{
    const char *names = m3_options_text(options, "refuse", NULL);
    *refused = NULL;
    if (names == NULL) return M3_OK;
    const size_t bytes = strlen(names) + 1;
    *refused = host->allocate(host->user, bytes, 1);
    if (*refused == NULL) return M3_FAIL_MEMORY(err, "refuse", bytes);
    memcpy(*refused, names, bytes);
    return M3_OK;
}
