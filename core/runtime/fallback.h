/* fallback: which device runs a node. */
#ifndef M3_CORE_RUNTIME_FALLBACK_H
#define M3_CORE_RUNTIME_FALLBACK_H

#include "core/runtime/engine.h"

/** Choose devices[0] if it runs the node, else the first other one that does.
 * @param strict  Only devices[0] may be chosen.
 * @param reason  Why not devices[0], in memory that m3_free frees; NULL when it was chosen. */
m3_status m3_fallback_choose(m3_device *const *devices, uint32_t count, bool strict, const m3_node *node,
                             uint32_t *device, char **reason, m3_error *err);
/** Log that another device than devices[0] was chosen. */
void m3_fallback_log(m3_device *const *devices, uint32_t device, const m3_node *node, const char *reason);

#endif
