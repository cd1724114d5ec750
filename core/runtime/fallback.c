/* fallback: each node goes to the chosen device if that runs it, else to the first of the others that does. */
#include "core/runtime/fallback.h"

#include <string.h>

#include "core/base/alloc.h"

static const char *node_text(const m3_node *node, char *text, size_t bytes)
{
    const m3_tensor *y = node->out_count > 0 ? node->out[0] : NULL;
    char label[M3_ERROR_SUBJECT];
    (void)snprintf(text, bytes, "%s -> %s %s", m3_node_label(node, label, sizeof label),
                   y != NULL ? m3_dtype_name(y->dtype) : "", y != NULL ? M3_SHAPE_TEXT(&y->shape) : "");
    return text;
}

m3_status m3_fallback_choose(m3_device *const *devices, uint32_t count, bool strict, const m3_node *node,
                             uint32_t *device, char **reason, m3_error *err)
{
    m3_error why = {0}, other = {0};
    char text[512];
    *device = 0;
    *reason = NULL;
    m3_status st = m3_device_supports(devices[0], node, &why);
    if (st == M3_OK) return M3_OK;
    if (st == M3_ERR_MEMORY) return M3_FAIL(err, st, why.subject, "%s", why.message);
    for (uint32_t i = 1; i < count && !strict; i++) {
        other = (m3_error){0};
        if (m3_device_supports(devices[i], node, &other) != M3_OK) continue;
        *reason = m3_strdup(why.message);
        if (*reason == NULL) return M3_FAIL_MEMORY(err, node->op->name, strlen(why.message));
        *device = i;
        return M3_OK;
    }
    (void)node_text(node, text, sizeof text);
    if (strict)
        return M3_FAIL(err, M3_ERR_UNSUPPORTED, devices[0]->name,
                       "%s does not run %s: %s; strict allows no fallback to another device", devices[0]->name, text,
                       why.message);
    if (count == 1)
        return M3_FAIL(err, M3_ERR_UNSUPPORTED, devices[0]->name,
                       "%s does not run %s: %s; give another device to fall back to", devices[0]->name, text,
                       why.message);
    return M3_FAIL(err, M3_ERR_UNSUPPORTED, devices[0]->name, "no device runs %s: %s: %.300s; %s: %.300s", text,
                   devices[0]->name, why.message, devices[count - 1]->name, other.message);
}

void m3_fallback_log(m3_device *const *devices, uint32_t device, const m3_node *node, const char *reason)
{
    char text[M3_ERROR_MESSAGE];
    m3_engine_log(devices[0]->engine, M3_LOG_WARN, "%s runs %s, because %s does not: %s", devices[device]->name,
                  node_text(node, text, sizeof text), devices[0]->name, reason);
}
