/* registry: the list of plugins of one engine, and look-ups in it. */
#include "core/runtime/registry.h"

#include <string.h>

#include "core/base/alloc.h"

m3_plugin_entry *m3_registry_add(m3_registry *registry, const char *path)
{
    if (registry->count == registry->capacity) {
        uint32_t capacity = registry->capacity == 0 ? 16 : registry->capacity * 2;
        void *grown = m3_realloc(registry->entries, capacity, sizeof(m3_plugin_entry *));
        if (grown == NULL) return NULL;
        registry->entries = grown;
        registry->capacity = capacity;
    }
    m3_plugin_entry *entry = m3_calloc(1, sizeof *entry);
    if (entry == NULL) return NULL;
    entry->path = m3_strdup(path);
    if (entry->path == NULL) {
        m3_free(entry);
        return NULL;
    }
    registry->entries[registry->count++] = entry;
    return entry;
}

void m3_registry_fini(m3_registry *registry)
{
    for (uint32_t i = 0; i < registry->count; i++) {
        m3_plugin_entry *entry = registry->entries[i];
        m3_free(entry->path);
        m3_free(entry->reason);
        m3_free(entry->ops);
        m3_free(entry);
    }
    for (uint32_t i = 0; i < registry->folder_count; i++) m3_free(registry->folders[i]);
    m3_free(registry->entries);
    m3_free(registry->folders);
    memset(registry, 0, sizeof *registry);
}

static bool loaded(const m3_plugin_entry *entry, m3_plugin_kind kind)
{
    return entry->reason == NULL && entry->plugin != NULL && entry->plugin->kind == kind;
}

m3_plugin_entry *m3_registry_find(const m3_registry *registry, m3_plugin_kind kind, const char *name)
{
    for (uint32_t i = 0; i < registry->count; i++) {
        m3_plugin_entry *entry = registry->entries[i];
        if (loaded(entry, kind) && strcmp(entry->plugin->name, name) == 0) return entry;
    }
    return NULL;
}

/* Names are unique within a kind, so the index-th name is the one that has `index` smaller ones. */
m3_plugin_entry *m3_registry_at(const m3_registry *registry, m3_plugin_kind kind, uint32_t index)
{
    for (uint32_t i = 0; i < registry->count; i++) {
        m3_plugin_entry *entry = registry->entries[i];
        if (!loaded(entry, kind)) continue;
        uint32_t smaller = 0;
        for (uint32_t j = 0; j < registry->count; j++) {
            const m3_plugin_entry *other = registry->entries[j];
            if (loaded(other, kind) && strcmp(other->plugin->name, entry->plugin->name) < 0) smaller++;
        }
        if (smaller == index) return entry;
    }
    return NULL;
}

const char *m3_registry_names(const m3_registry *registry, m3_plugin_kind kind, char *text, size_t bytes)
{
    size_t at = 0;
    (void)snprintf(text, bytes, "none");
    for (uint32_t i = 0; at < bytes; i++) {
        const m3_plugin_entry *entry = m3_registry_at(registry, kind, i);
        if (entry == NULL) break;
        at += (size_t)snprintf(text + at, bytes - at, "%s%s", i != 0 ? ", " : "", entry->plugin->name);
    }
    return text;
}

const m3_op *m3_registry_op(const m3_registry *registry, const char *name)
{
    for (uint32_t i = 0; i < registry->count; i++) {
        const m3_plugin_entry *entry = registry->entries[i];
        if (entry->reason != NULL) continue;
        for (uint32_t j = 0; j < entry->op_count; j++)
            if (strcmp(entry->ops[j].name, name) == 0) return &entry->ops[j];
    }
    return NULL;
}

const char *m3_plugin_kind_name(m3_plugin_kind kind)
{
    switch (kind) {
    case M3_PLUGIN_BACKEND: return "backend";
    case M3_PLUGIN_ENCODER: return "encoder";
    case M3_PLUGIN_EXPERT: return "expert";
    }
    return "";
}
