/* loader: from folders to checked plugins. A file is taken through a column of steps; each is one check with one
 * sentence, and the first that fails is the reason why the file is skipped. */
#include "core/runtime/loader.h"

#include <dirent.h>
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <limits.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/alloc.h"
#include "core/base/option.h"
#include "core/base/outfile.h"
#include "core/ops/common/op.h"
#include "core/runtime/trust.h"

enum { MOST_NAME = 47 /* of a plugin: what a configuration keeps, and a device's name with its index */ };

typedef struct search {
    m3_registry *registry;
    const m3_logger *log;
    m3_trust trust;
    const m3_visitor *visitor;
} search;

void m3_visitor_tell(const m3_visitor *visitor, const char *path, const char *what)
{
    if (visitor->visit != NULL) visitor->visit(visitor->user, path, what);
}

/* Steps. Each fails with why->message. */

static m3_status check_absolute(const char *path, m3_error *why)
{
    if (path[0] == '/') return M3_OK;
    return M3_FAIL(why, M3_ERR_INVALID, path, "'%s' is not an absolute path; write it in full", path);
}

static m3_status check_avoided(const search *s, const char *path, m3_error *why)
{
    for (uint32_t i = 0; i < s->visitor->avoid.count; i++) {
        const m3_plugin_avoid *avoid = m3_span_at(s->visitor->avoid, i);
        if (strcmp(avoid->path, path) == 0) return M3_FAIL(why, M3_ERR_IO, path, "%s", avoid->reason);
    }
    return M3_OK;
}

/* Where the last of the file's loaded segments ends; 0 for what is no object of this machine, which dlopen refuses. */
static uint64_t end_of_segments(FILE *file)
{
    ElfW(Ehdr) head;
    ElfW(Phdr) part;
    uint64_t end = 0;
    if (fread(&head, sizeof head, 1, file) != 1 || memcmp(head.e_ident, ELFMAG, SELFMAG) != 0) return 0;
    if (head.e_phentsize != sizeof part || fseek(file, (long)head.e_phoff, SEEK_SET) != 0) return 0;
    for (uint32_t i = 0; i < head.e_phnum && fread(&part, sizeof part, 1, file) == 1; i++)
        if (part.p_type == PT_LOAD && part.p_offset + part.p_filesz > end) end = part.p_offset + part.p_filesz;
    return end;
}

/* The loader maps segments without a look at the file's length: touching what is missing would be a bus error. */
static m3_status check_whole(const char *path, int fd, const struct stat *info, m3_error *why)
{
    FILE *file = fdopen(fd, "rb");
    if (file == NULL) {
        (void)close(fd);
        return M3_FAIL(why, m3_path_status(errno), path, "'%s': %s", path, strerror(errno));
    }
    const uint64_t end = end_of_segments(file), size = (uint64_t)info->st_size;
    (void)fclose(file);
    if (end <= size) return M3_OK;
    return M3_FAIL(why, M3_ERR_IO, path,
                   "it is cut short: %llu of at least %llu bytes are there; copy or build it again",
                   (unsigned long long)size, (unsigned long long)end);
}

/* code: errno since before dlopen, which the dynamic loader itself leaves alone: its text does not always tell lack of
 * memory from a file that cannot be loaded. */
static m3_status fail_load(const char *path, int code, const char *reason, m3_error *why)
{
    if (code == ENOMEM || reason == NULL || strstr(reason, strerror(ENOMEM)) != NULL)
        return M3_FAIL(why, M3_ERR_MEMORY, path, "there is no memory to load it");
    return M3_FAIL(why, M3_ERR_IO, path, "it cannot be loaded: %s", reason);
}

/* What is loaded is the path without links: between the checks and dlopen, nobody else can exchange a part of it. */
static m3_status open_file(const search *s, const char *path, const m3_plugin **plugin, m3_error *why)
{
    char real[PATH_MAX];
    int fd = -1;
    struct stat info;
    m3_plugin_query_fn query = NULL;
    m3_status st = m3_trust_follow(&s->trust, path, real, why);
    if (st == M3_OK) st = check_avoided(s, path, why);
    if (st == M3_OK) st = m3_trust_open(&s->trust, real, &fd, &info, why);
    if (st == M3_OK) st = check_whole(path, fd, &info, why);
    if (st != M3_OK) return st;
    m3_logger_write(s->log, M3_LOG_DEBUG, "plugin %s is opened", path);
    m3_visitor_tell(s->visitor, path, "loaded");
    errno = 0;
    void *object = dlopen(real, RTLD_NOW | RTLD_LOCAL); /* stays loaded: drivers rarely survive an unload */
    const int code = errno;
    if (object == NULL) return fail_load(path, code, dlerror(), why);
    void *symbol = dlsym(object, M3_PLUGIN_SYMBOL);
    if (symbol == NULL)
        return M3_FAIL(why, M3_ERR_ABI, path, "it has no symbol %s; export it with M3_API", M3_PLUGIN_SYMBOL);
    memcpy(&query, &symbol, sizeof query);
    *plugin = query();
    return M3_OK;
}

static m3_status check_descriptor(const char *path, const m3_plugin *plugin, m3_error *why)
{
    if (plugin->size < M3_STRUCT_SIZE(m3_plugin, table))
        return M3_FAIL(why, M3_ERR_ABI, path, "its descriptor has %u bytes, at least %u are needed", plugin->size,
                       M3_STRUCT_SIZE(m3_plugin, table));
    if (plugin->magic != M3_PLUGIN_MAGIC)
        return M3_FAIL(why, M3_ERR_ABI, path, "its magic is 0x%08x instead of 0x%08x: it is no m3bsr plugin",
                       plugin->magic, M3_PLUGIN_MAGIC);
    if (plugin->abi_major != M3_ABI_MAJOR)
        return M3_FAIL(why, M3_ERR_ABI, path, "it was made for interface %u.%u, this library has %d.%d; rebuild it",
                       plugin->abi_major, plugin->abi_minor, M3_ABI_MAJOR, M3_ABI_MINOR);
    if (plugin->host_minor > M3_ABI_MINOR)
        return M3_FAIL(why, M3_ERR_ABI, path,
                       "it needs a library with interface %u.%u or later, this one has %d.%d; use a newer m3bsr",
                       plugin->abi_major, plugin->host_minor, M3_ABI_MAJOR, M3_ABI_MINOR);
    if (m3_plugin_kind_name(plugin->kind)[0] == 0)
        return M3_FAIL(why, M3_ERR_ABI, path,
                       "its kind %d is unknown; known are backend, encoder, expert and collectives", (int)plugin->kind);
    if (plugin->name == NULL || plugin->name[0] == 0)
        return M3_FAIL(why, M3_ERR_ABI, path, "it has no name; give it one of a-z, 0-9, _ and -");
    if (plugin->name[strspn(plugin->name, "abcdefghijklmnopqrstuvwxyz0123456789_-")] != 0)
        return M3_FAIL(why, M3_ERR_ABI, path, "its name '%s' has other characters than a-z, 0-9, _ and -",
                       plugin->name);
    if (strlen(plugin->name) > MOST_NAME)
        return M3_FAIL(why, M3_ERR_ABI, path,
                       "its name '%.80s' has %zu characters; a name that can be chosen has at most %d", plugin->name,
                       strlen(plugin->name), MOST_NAME);
    if (plugin->kind == M3_PLUGIN_BACKEND && strcmp(plugin->name, "auto") == 0)
        return M3_FAIL(why, M3_ERR_ABI, path,
                       "it is named 'auto', which stands for the best device and so could never be opened; rename it");
    if (plugin->table == NULL) return M3_FAIL(why, M3_ERR_ABI, path, "it has no table of functions");
    return M3_OK;
}

static m3_status check_unique(const m3_registry *registry, const m3_plugin_entry *entry, m3_error *why)
{
    const m3_plugin_entry *first = m3_registry_find(registry, entry->plugin->kind, entry->plugin->name);
    if (first == NULL || first == entry) return M3_OK;
    return M3_FAIL(why, M3_ERR_INVALID, entry->path, "a %s named '%s' is loaded already, from '%s'",
                   m3_plugin_kind_name(entry->plugin->kind), entry->plugin->name, first->path);
}

/* Copy what the plugin's table reaches into our layout; the rest is zero. */
static void copy_table(void *to, size_t size, const void *table)
{
    uint32_t reaches = *(const uint32_t *)table;
    memset(to, 0, size);
    memcpy(to, table, reaches < size ? reaches : size);
}

typedef struct required {
    size_t offset;
    const char *name;
} required;
#define REQUIRED_OF(api, member)                                                                                       \
    {                                                                                                                  \
        offsetof(api, member), #member                                                                                 \
    }
#define REQUIRED(member) REQUIRED_OF(m3_backend_api, member)
static const required backend_functions[] = {
    REQUIRED(open),     REQUIRED(close),         REQUIRED(list),        REQUIRED(device_open), REQUIRED(device_close),
    REQUIRED(limits),   REQUIRED(buffer_create), REQUIRED(buffer_free), REQUIRED(upload),      REQUIRED(download),
    REQUIRED(supports), REQUIRED(compile),       REQUIRED(exec_free),   REQUIRED(submit),      REQUIRED(wait)};
#undef REQUIRED
#define REQUIRED(member) REQUIRED_OF(m3_collectives_api, member)
static const required collectives_functions[] = {REQUIRED(open),     REQUIRED(close), REQUIRED(info), REQUIRED(rank),
                                                 REQUIRED(exchange), REQUIRED(wait),  REQUIRED(fail)};
#undef REQUIRED

/* @param table  Copied by copy_table. */
static m3_status check_functions(const m3_plugin_entry *entry, const void *table, const required *functions,
                                 size_t count, m3_error *why)
{
    for (size_t i = 0; i < count; i++) {
        void (*function)(void) = NULL;
        memcpy(&function, (const unsigned char *)table + functions[i].offset, sizeof function);
        if (function == NULL)
            return M3_FAIL(why, M3_ERR_ABI, entry->path, "its table of %u bytes lacks the required function %s",
                           *(const uint32_t *)table, functions[i].name);
    }
    return M3_OK;
}

/* A key is typed as KEY=VALUE and stands in configurations. */
static m3_status check_key(const m3_plugin_entry *entry, m3_span table, uint32_t index, m3_error *why)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
    const char *key = ((const m3_option_desc *)m3_span_at(table, index))->key;
    if (key[0] == 0 || key[strspn(key, allowed)] != 0)
        return M3_FAIL(why, M3_ERR_ABI, entry->path,
                       "its option '%.80s' cannot be typed; name it with letters, digits, _, - and .", key);
    if (strlen(key) > MOST_NAME)
        return M3_FAIL(why, M3_ERR_ABI, entry->path,
                       "its option '%.80s' has %zu characters; a key that can be given has at most %d", key,
                       strlen(key), MOST_NAME);
    for (uint32_t i = 0; i < index; i++)
        if (strcmp(((const m3_option_desc *)m3_span_at(table, i))->key, key) == 0)
            return M3_FAIL(why, M3_ERR_ABI, entry->path, "it describes its option '%s' twice", key);
    return M3_OK;
}

/* A default is a value like any other; a device's may be empty, which leaves the choice to the device. */
static m3_status check_option(const m3_plugin_entry *entry, const m3_option_desc *option, bool of_device, m3_error *why)
{
    m3_error reason = {0};
    char *text = NULL;
    if (option->size < M3_STRUCT_SIZE(m3_option_desc, help))
        return M3_FAIL(why, M3_ERR_ABI, entry->path, "an option's description has %u bytes, at least %u are needed",
                       option->size, M3_STRUCT_SIZE(m3_option_desc, help));
    if (option->key == NULL || option->fallback == NULL || option->help == NULL)
        return M3_FAIL(why, M3_ERR_ABI, entry->path, "its option '%s' lacks its key, its default or its help",
                       option->key != NULL ? option->key : "");
    if (option->type < M3_OPTION_INT || option->type > M3_OPTION_TEXTS)
        return M3_FAIL(why, M3_ERR_ABI, entry->path, "its option '%s' has the unknown type %d", option->key,
                       (int)option->type);
    if (option->type == M3_OPTION_CHOICE && m3_option_choices(option) == NULL)
        return M3_FAIL(why, M3_ERR_ABI, entry->path, "its option '%s' lacks its choices", option->key);
    if (option->type == M3_OPTION_INT || option->type == M3_OPTION_FLOAT || option->type == M3_OPTION_INTS)
        if (!(option->min <= option->max))
            return M3_FAIL(why, M3_ERR_ABI, entry->path,
                           "its option '%s' takes from %g to %g, where no number is; exchange them", option->key,
                           option->min, option->max);
    if (of_device && option->fallback[0] == 0) return M3_OK;
    m3_status st = m3_option_canonical(option, option->fallback, &text, &reason);
    m3_free(text);
    if (st == M3_OK) return M3_OK;
    return M3_FAIL(why, st == M3_ERR_MEMORY ? st : M3_ERR_ABI, entry->path,
                   "the default of its option '%s' will not do: %s", option->key, reason.message);
}

/* Options that are given to what the plugin opens: a device, a group. */
static m3_status check_options(const m3_plugin_entry *entry, m3_span options, m3_error *why)
{
    m3_status st = M3_OK;
    for (uint32_t i = 0; i < options.count && st == M3_OK; i++) {
        st = check_option(entry, m3_span_at(options, i), true, why);
        if (st == M3_OK) st = check_key(entry, options, i, why);
    }
    return st;
}

static m3_status check_backend(m3_plugin_entry *entry, m3_error *why)
{
    const size_t count = sizeof backend_functions / sizeof backend_functions[0];
    copy_table(&entry->backend, sizeof entry->backend, entry->plugin->table);
    m3_status st = check_functions(entry, &entry->backend, backend_functions, count, why);
    return st != M3_OK ? st : check_options(entry, entry->backend.options, why);
}

static m3_status check_collectives(m3_plugin_entry *entry, m3_error *why)
{
    const size_t count = sizeof collectives_functions / sizeof collectives_functions[0];
    copy_table(&entry->collectives, sizeof entry->collectives, entry->plugin->table);
    m3_status st = check_functions(entry, &entry->collectives, collectives_functions, count, why);
    return st != M3_OK ? st : check_options(entry, entry->collectives.options, why);
}

static m3_status check_op(const m3_registry *registry, const m3_plugin_entry *entry, const m3_op *op, m3_error *why)
{
    size_t prefix = strlen(entry->plugin->name);
    if (op->size < M3_STRUCT_SIZE(m3_op, zero_gradient))
        return M3_FAIL(why, M3_ERR_ABI, entry->path, "a custom op has %u bytes, at least %u are needed", op->size,
                       M3_STRUCT_SIZE(m3_op, zero_gradient));
    if (op->name == NULL || strncmp(op->name, entry->plugin->name, prefix) != 0 || op->name[prefix] != '.' ||
        op->name[prefix + 1] == 0)
        return M3_FAIL(why, M3_ERR_ABI, entry->path, "its custom op '%s' is not named '%s.NAME'",
                       op->name != NULL ? op->name : "", entry->plugin->name);
    if (m3_op_find(op->name) != NULL || m3_registry_op(registry, op->name) != NULL)
        return M3_FAIL(why, M3_ERR_INVALID, entry->path, "its custom op '%s' is there already", op->name);
    if (op->infer == NULL)
        return M3_FAIL(why, M3_ERR_ABI, entry->path, "its custom op '%s' lacks the required function infer", op->name);
    if (op->decompose == NULL && op->evaluate == NULL)
        return M3_FAIL(why, M3_ERR_ABI, entry->path, "its custom op '%s' has neither decompose nor evaluate", op->name);
    return M3_OK;
}

static m3_status check_module(const m3_registry *registry, m3_plugin_entry *entry, m3_error *why)
{
    m3_status st = M3_OK;
    copy_table(&entry->module, sizeof entry->module, entry->plugin->table);
    const m3_module_api *module = &entry->module;
    if (module->build == NULL)
        return M3_FAIL(why, M3_ERR_ABI, entry->path, "its table of %u bytes lacks the required function build",
                       module->size);
    for (uint32_t i = 0; i < module->options.count && st == M3_OK; i++) {
        st = check_option(entry, m3_span_at(module->options, i), false, why);
        if (st == M3_OK) st = check_key(entry, module->options, i, why);
    }
    if (st != M3_OK || module->ops.count == 0) return st;
    entry->ops = m3_calloc(module->ops.count, sizeof(m3_op));
    if (entry->ops == NULL) return M3_FAIL_MEMORY(why, entry->path, module->ops.count * sizeof(m3_op));
    for (uint32_t i = 0; i < module->ops.count && st == M3_OK; i++) {
        const m3_op *op = m3_span_at(module->ops, i);
        if ((st = check_op(registry, entry, op, why)) == M3_OK)
            copy_table(&entry->ops[entry->op_count++], sizeof(m3_op), op);
    }
    return st;
}

static m3_status load(const search *s, m3_plugin_entry *entry, m3_error *why)
{
    const m3_registry *registry = s->registry;
    const m3_plugin *plugin = NULL;
    m3_status st;
    if ((st = open_file(s, entry->path, &plugin, why)) != M3_OK) return st;
    if (plugin == NULL)
        return M3_FAIL(why, M3_ERR_ABI, entry->path, "%s() returned NULL; return a constant descriptor",
                       M3_PLUGIN_SYMBOL);
    if ((st = check_descriptor(entry->path, plugin, why)) != M3_OK) return st;
    entry->plugin = plugin;
    if ((st = check_unique(registry, entry, why)) != M3_OK) return st;
    if (plugin->kind == M3_PLUGIN_BACKEND) return check_backend(entry, why);
    if (plugin->kind == M3_PLUGIN_COLLECTIVES) return check_collectives(entry, why);
    return check_module(registry, entry, why);
}

/* The search. Only memory is an error here; all else becomes an entry's reason. */

static m3_status skip(const search *s, m3_plugin_entry *entry, m3_log_level level, const m3_error *why, m3_error *err)
{
    if (why->code == M3_ERR_MEMORY) return M3_FAIL(err, M3_ERR_MEMORY, entry->path, "%s", why->message);
    entry->reason = m3_strdup(why->message);
    if (entry->reason == NULL) return M3_FAIL_MEMORY(err, entry->path, strlen(why->message));
    m3_logger_write(s->log, level, "plugin %s skipped: %s", entry->path, entry->reason);
    return M3_OK;
}

static m3_status visit_file(const search *s, const char *path, m3_error *err)
{
    m3_error why = {0};
    m3_plugin_entry *entry = m3_registry_add(s->registry, path);
    if (entry == NULL) return M3_FAIL_MEMORY(err, path, sizeof *entry);
    m3_status st = load(s, entry, &why);
    if (st != M3_OK) return skip(s, entry, st == M3_ERR_INVALID ? M3_LOG_INFO : M3_LOG_WARN, &why, err);
    m3_logger_write(s->log, M3_LOG_DEBUG, "plugin %s: %s %s %s", path, m3_plugin_kind_name(entry->plugin->kind),
                    entry->plugin->name, entry->plugin->version != NULL ? entry->plugin->version : "");
    return M3_OK;
}

static int is_object(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);
    return length > 3 && strcmp(entry->d_name + length - 3, ".so") == 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static m3_status visit_files(const search *s, const char *folder, m3_error *err)
{
    struct dirent **names = NULL;
    m3_status st = M3_OK;
    int count = scandir(folder, &names, is_object, by_name);
    if (count < 0 && m3_path_status(errno) == M3_ERR_MEMORY) return M3_FAIL_MEMORY(err, folder, sizeof(struct dirent));
    for (int i = 0; i < count; i++) {
        if (st == M3_OK) {
            char *path = m3_strfmt("%s/%s", folder, names[i]->d_name);
            st = path != NULL ? visit_file(s, path, err) : M3_FAIL_MEMORY(err, folder, strlen(folder));
            m3_free(path);
        }
        free(names[i]); /* scandir's own memory */
    }
    free(names);
    return st;
}

/* Remember a folder, by its real path; *first is false when it was searched before. */
static m3_status first_time(m3_registry *registry, const char *real, bool *first, m3_error *err)
{
    *first = true;
    for (uint32_t i = 0; i < registry->folder_count; i++)
        if (strcmp(registry->folders[i], real) == 0) *first = false;
    if (!*first) return M3_OK;
    if (registry->folder_count == registry->folder_capacity) {
        const uint32_t capacity = registry->folder_capacity + 8;
        void *grown = m3_realloc(registry->folders, capacity, sizeof(char *));
        if (grown == NULL) return M3_FAIL_MEMORY(err, real, capacity * sizeof(char *));
        registry->folders = grown;
        registry->folder_capacity = capacity;
    }
    char *copy = m3_strdup(real);
    if (copy == NULL) return M3_FAIL_MEMORY(err, real, strlen(real));
    registry->folders[registry->folder_count++] = copy;
    return M3_OK;
}

/* A folder or a file. An explicit one that is missing is worth a warning, a default one is not. */
static m3_status visit(const search *s, const char *path, bool explicit, m3_error *err)
{
    m3_error why = {0};
    struct stat info;
    char real[PATH_MAX];
    m3_log_level level = M3_LOG_WARN;
    bool first = false;
    m3_status st = check_absolute(path, &why);
    if (st == M3_OK && stat(path, &info) != 0) {
        st = M3_FAIL(&why, M3_ERR_IO, path, "'%s': %s", path, strerror(errno));
        if (!explicit) level = M3_LOG_DEBUG;
    }
    if (st == M3_OK && !S_ISDIR(info.st_mode)) return visit_file(s, path, err);
    if (st == M3_OK) st = m3_trust_follow(&s->trust, path, real, &why);
    if (st == M3_OK) st = m3_trust_search(&s->trust, real, &why);
    if (st != M3_OK) {
        m3_plugin_entry *entry = m3_registry_add(s->registry, path);
        if (entry == NULL) return M3_FAIL_MEMORY(err, path, sizeof *entry);
        return skip(s, entry, level, &why, err);
    }
    if ((st = first_time(s->registry, real, &first, err)) != M3_OK || !first) return st;
    return visit_files(s, path, err);
}

static m3_status visit_list(const search *s, const char *list, m3_error *err)
{
    m3_status st = M3_OK;
    while (*list != 0 && st == M3_OK) {
        size_t length = strcspn(list, ":");
        if (length > 0) {
            char *path = m3_strfmt("%.*s", (int)length, list);
            st = path != NULL ? visit(s, path, true, err) : M3_FAIL_MEMORY(err, "plugin path", length);
            m3_free(path);
        }
        list += length + (list[length] == ':');
    }
    return st;
}

/* The plugins beside the library, wherever it was put. */
static m3_status visit_neighbours(const search *s, m3_error *err)
{
    if (s->trust.library[0] == '\0') return M3_OK;
    char *path = m3_strfmt("%s/m3bsr/plugins", s->trust.library);
    m3_status st = path != NULL ? visit(s, path, false, err) : M3_FAIL_MEMORY(err, "plugin path", 0);
    m3_free(path);
    return st;
}

m3_status m3_registry_load(m3_registry *registry, const char *plugin_path, bool allow_writable,
                           const m3_visitor *visitor, const m3_logger *log, m3_error *err)
{
    search s = {.registry = registry, .log = log, .visitor = visitor};
    m3_trust_init(&s.trust, allow_writable);
    const char *list = plugin_path != NULL ? plugin_path : getenv("M3BSR_PLUGIN_PATH");
    m3_status st = M3_OK;
    if (list != NULL && getauxval(AT_SECURE) != 0) {
        m3_logger_write(log, M3_LOG_WARN, "the plugin path is ignored under elevated privileges");
        list = NULL;
    }
    if (list != NULL) st = visit_list(&s, list, err);
    if (st == M3_OK) st = visit_neighbours(&s, err);
    if (st == M3_OK) st = visit(&s, M3BSR_PLUGIN_DIR, false, err);
    return st;
}
