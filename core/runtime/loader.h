/* loader: from folders to checked plugins in a registry. */
#ifndef M3_CORE_RUNTIME_LOADER_H
#define M3_CORE_RUNTIME_LOADER_H

#include "core/runtime/log.h"
#include "core/runtime/registry.h"
#include "m3bsr/runtime.h"

/** Who hears of what plugins are asked for, and what is not to be asked. Starts as {0}. */
typedef struct m3_visitor {
    void (*visit)(void *user, const char *path, const char *what);
    void *user;
    m3_span avoid; /* m3_plugin_avoid; while the registry is loaded */
} m3_visitor;

void m3_visitor_tell(const m3_visitor *visitor, const char *path, const char *what);

/** Search the folders and fill the registry. Only running out of memory is an error: what is skipped has its reason in
 * the registry and in the log.
 * @param plugin_path     Folders and files separated by ':'; NULL: those of M3BSR_PLUGIN_PATH.
 * @param allow_writable  What others can write or own is loaded too. */
m3_status m3_registry_load(m3_registry *registry, const char *plugin_path, bool allow_writable,
                           const m3_visitor *visitor, const m3_logger *log, m3_error *err);

#endif
