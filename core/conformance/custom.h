/* custom: cases of the ops that plugins bring, beside the list of those that are built in. A plugin declares them
 * (m3_op.cases); an op without any is a finding of its own. */
#ifndef M3_CORE_CONFORMANCE_CUSTOM_H
#define M3_CORE_CONFORMANCE_CUSTOM_H

#include "core/conformance/cases.h"

/** The other devices of an engine, opened when a custom op's kernel is first looked for; one that cannot be is told
 * with a warning. Starts as {0}. */
typedef struct m3_custom_devices {
    m3_device *device[16];
    uint32_t count;
    bool opened;
} m3_custom_devices;
void m3_custom_devices_close(m3_custom_devices *others);

/** What stands at a place of their list. */
typedef enum m3_custom_kind {
    M3_CUSTOM_CASE,    /**< a case */
    M3_CUSTOM_NONE,    /**< an op that declares none */
    M3_CUSTOM_TOO_LONG /**< a case that does not fit: its name alone is known */
} m3_custom_kind;

/** How many cases of custom ops have a part in a layer and match a pattern (NULL: all). */
uint32_t m3_custom_count(m3_engine *engine, uint32_t layer, const char *pattern);
/** The case by its place among those. */
m3_custom_kind m3_custom_at(m3_engine *engine, uint32_t layer, const char *pattern, uint32_t index, m3_case *c);
/** Layer ops: as m3_case_run(), and then: what `evaluate` and `decompose` give are compared with each other, and every
 * other device of the engine that has a kernel for it runs it too. */
void m3_custom_run(m3_device *device, m3_device *reference, m3_custom_devices *others, const m3_case *c, uint64_t seed,
                   m3_case_result *result);
/** The finding of what is no case that can be run. */
void m3_custom_cannot_run(m3_custom_kind kind, const m3_case *c, m3_case_result *result);

#endif
