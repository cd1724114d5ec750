/* registry: the plugins of one engine, loaded or skipped. loader.c fills it, engine.c and device.c read it. */
#ifndef M3_CORE_RUNTIME_REGISTRY_H
#define M3_CORE_RUNTIME_REGISTRY_H

#include "m3bsr/backend.h"
#include "m3bsr/collectives.h"
#include "m3bsr/graph.h"
#include "m3bsr/plugin.h"

/* One file or folder that the search found. A table is a copy in our own layout: members that a plugin of another minor
 * does not reach are NULL. Names point into the plugin, which is never unloaded. */
typedef struct m3_plugin_entry {
    char *path;
    char *reason;            /* why it was skipped; NULL when it was loaded */
    const m3_plugin *plugin; /* NULL when it could not be read */
    m3_backend_api backend;
    m3_module_api module;
    m3_collectives_api collectives;
    m3_op *ops; /* a module's custom ops */
    uint32_t op_count;
    m3_backend *opened; /* of a backend, from the first time that its devices are listed */
} m3_plugin_entry;

typedef struct m3_registry {
    m3_plugin_entry **entries; /* in the order of the search */
    uint32_t count, capacity;
    char **folders; /* searched so far, by their real paths */
    uint32_t folder_count, folder_capacity;
} m3_registry;

/** A new entry at the end, or NULL. path is copied. */
m3_plugin_entry *m3_registry_add(m3_registry *registry, const char *path);
void m3_registry_fini(m3_registry *registry);

/** A loaded plugin by kind and name, or NULL. */
m3_plugin_entry *m3_registry_find(const m3_registry *registry, m3_plugin_kind kind, const char *name);
/** The index-th loaded plugin of a kind in the order of names, or NULL. */
m3_plugin_entry *m3_registry_at(const m3_registry *registry, m3_plugin_kind kind, uint32_t index);
/** "cpu, reference" into text; "none" when there is none. Returns text. */
const char *m3_registry_names(const m3_registry *registry, m3_plugin_kind kind, char *text, size_t bytes);
/** Why a plugin may be missing: "; 'FILE' was skipped: REASON" of the file that is called like it, else of how many
 * files were skipped, "" when none was. Returns text. */
const char *m3_registry_skipped(const m3_registry *registry, const char *name, char *text, size_t bytes);
/** A custom op of a loaded module, or NULL. */
const m3_op *m3_registry_op(const m3_registry *registry, const char *name);
const char *m3_plugin_kind_name(m3_plugin_kind kind);

#endif
