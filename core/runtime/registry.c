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

/* Skipped for another reason than that one of this name is loaded already, or that a folder is not there. */
static bool was_skipped(const m3_plugin_entry *entry)
{
    size_t length = strlen(entry->path);
    return entry->reason != NULL && length > 3 && strcmp(entry->path + length - 3, ".so") == 0;
}

/* By its own name, or by the file's: NAME.so or m3bsr_KIND_NAME.so. */
static bool is_called(const m3_plugin_entry *entry, const char *name)
{
    const char *file = strrchr(entry->path, '/');
    size_t length = strlen(name);
    file = file != NULL ? file + 1 : entry->path;
    size_t stem = strlen(file) - 3;
    if (entry->plugin != NULL && entry->plugin->name != NULL && strcmp(entry->plugin->name, name) == 0) return true;
    return length > 0 && stem >= length && strncmp(file + stem - length, name, length) == 0 &&
           (stem == length || file[stem - length - 1] == '_');
}

const char *m3_registry_skipped(const m3_registry *registry, const char *name, char *text, size_t bytes)
{
    uint32_t skipped = 0;
    text[0] = 0;
    for (uint32_t i = 0; i < registry->count; i++) {
        const m3_plugin_entry *entry = registry->entries[i];
        if (!was_skipped(entry)) continue;
        skipped++;
        if (!is_called(entry, name)) continue;
        (void)snprintf(text, bytes, "; '%s' was skipped: %s", entry->path, entry->reason);
        return text;
    }
    if (skipped > 0)
        (void)snprintf(text, bytes, "; %u plugin file%s skipped, `m3bsr plugins` says why", skipped,
                       skipped == 1 ? " was" : "s were");
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
    case M3_PLUGIN_COLLECTIVES: return "collectives";
    }
    return "";
}
