/* plugin: the one symbol that a plugin exports, what it returns, and what the host lends it.
 *
 * A plugin is a shared object with exactly one exported symbol, m3_plugin_query. It links nothing of ours. It is opened
 * RTLD_NOW | RTLD_LOCAL and stays loaded until the process ends. Duties of a plugin, and what follows when one is not
 * met:
 *  1. Export m3_plugin_query and return a constant descriptor.    Else: reported and skipped.
 *  2. Start every struct with its size, counted with M3_STRUCT_SIZE. Else: short structs are refused, members beyond
 *     the size do not exist.
 *  3. Fill every member that its kind's table calls required.     Else: reported with the member's name and skipped.
 *  4. Keep the host table in the handle that open() returns, never in a static: two engines may share a process.
 *  5. Never call abort or exit, never throw; return a status and fill the error.
 * Growth: a minor version appends members to structs, a major one breaks. The rules, and a line for each version, are
 * in ABI-CHANGELOG.md, which is installed with the documentation. */
#ifndef M3BSR_PLUGIN_H
#define M3BSR_PLUGIN_H

#include "m3bsr/base.h"
#include "m3bsr/op.h"

#ifdef __cplusplus
extern "C" {
#endif

#define M3_PLUGIN_MAGIC 0x5033424du /* "M3BP" read as little endian */
enum { M3_ABI_MAJOR = 1, M3_ABI_MINOR = 1 };

/** What a plugin brings. Unknown kinds are reported and skipped. */
typedef enum m3_plugin_kind {
    M3_PLUGIN_BACKEND = 1, /**< table: m3_backend_api (backend.h) */
    M3_PLUGIN_ENCODER = 2, /**< table: m3_module_api */
    M3_PLUGIN_EXPERT = 3   /**< table: m3_module_api */
} m3_plugin_kind;

/** What the host lends; valid as long as the handle it was given to. All functions may be called from any thread. */
typedef struct m3_host {
    uint32_t size;
    uint32_t abi_major, abi_minor; /**< of the host */
    void *user;                    /**< first argument of the functions below */
    void (*log)(void *user, m3_log_level level, const char *line);
    /** Zeroed memory, or NULL. Ends with release. */
    void *(*allocate)(void *user, size_t count, size_t size);
    void (*release)(void *user, void *block);
    /** Run fn(arg, task, worker) for task = 0 .. tasks-1 on the pool's threads and wait; worker < threads.
     * One caller at a time; not from inside fn. */
    void (*parallel)(void *user, uint32_t tasks, void (*fn)(void *arg, uint32_t task, uint32_t worker), void *arg);
    uint32_t threads;       /**< of the pool, the caller included; at least 1 */
    const char *cache_path; /**< an existing folder for compiled kernels, or NULL: do not cache */
} m3_host;

/** key=value from the command line or the configuration. */
typedef struct m3_option {
    const char *key;
    const char *value;
} m3_option;

typedef struct m3_plugin {
    uint32_t size;
    uint32_t magic;                /**< M3_PLUGIN_MAGIC */
    uint32_t abi_major, abi_minor; /**< M3_ABI_MAJOR, M3_ABI_MINOR that it was built with */
    uint32_t host_minor;           /**< oldest host minor that it works with */
    m3_plugin_kind kind;
    const char *name;    /**< unique within its kind: [a-z0-9_-]+ */
    const char *version; /**< the plugin's own */
    const char *build;   /**< compiler and date or revision, for bug reports */
    const void *table;   /**< of its kind */
} m3_plugin;

typedef const m3_plugin *(*m3_plugin_query_fn)(void);
#define M3_PLUGIN_SYMBOL "m3_plugin_query"
M3_API const m3_plugin *m3_plugin_query(void);

/* Encoders and experts. */

/** Value of an option of a module. Unknown types are refused. */
typedef enum m3_option_type {
    M3_OPTION_INT = 0,
    M3_OPTION_FLOAT = 1,
    M3_OPTION_BOOL = 2,
    M3_OPTION_TEXT = 3
} m3_option_type;

/** An option that a module reads: a key of the configuration file. A key that several modules declare is shared. */
typedef struct m3_option_desc {
    uint32_t size;
    const char *key;
    m3_option_type type;
    const char *fallback; /**< the default, as text */
    double min, max;      /**< numbers: inclusive */
    const char *help;     /**< one line */
} m3_option_desc;

/** What a module's build is given beside its tensors. */
typedef struct m3_module_args {
    uint32_t size;
    uint32_t width;    /**< d */
    m3_span options;   /**< m3_option: one for each that the module declared, checked and in range */
    uint32_t modality; /**< encoders: 1 .. K, the feature modality; 0 for ids */
} m3_module_args;

/** Table of an encoder or an expert. */
typedef struct m3_module_api {
    uint32_t size;
    m3_span options; /**< m3_option_desc */
    m3_span ops;     /**< const m3_op: custom ops to register; names are "PLUGIN.op" */
    /** Required. Append the module to the graph.
     *   Encoder: x f32 [*, n, L, D] the raw features (0 where padded), mask bool [*, n, L] -> [*, n, L, d]: the part
     *            before position and norm (MODEL.md 4).
     *   Expert:  x f32 [*, n, L, d], mask bool [*, n, L], left-padded -> [*, n, d], 0 for an empty sequence
     *            (MODEL.md 7). When group > 0 parameters come grouped [G, ...] and x's first axis is G;
     *            m3_linear and m3_layer_norm know both forms.
     * Declare parameters with m3_parameter; names are relative to the scope. NULL when an error is kept. */
    m3_tensor *(*build)(m3_builder *b, const m3_module_args *args, m3_tensor *x, m3_tensor *mask, uint32_t group);
} m3_module_api;

/** Text of an option, "" when it is not there. */
static inline const char *m3_option_text(const m3_module_args *args, const char *key)
{
    for (uint32_t i = 0; i < args->options.count; i++) {
        const m3_option *option = (const m3_option *)m3_span_at(args->options, i);
        const char *a = option->key, *k = key;
        while (*a != 0 && *a == *k) a++, k++;
        if (*a == *k) return option->value;
    }
    return "";
}

/** A whole number of an option; the host has checked type and range. */
static inline int64_t m3_option_int(const m3_module_args *args, const char *key)
{
    const char *text = m3_option_text(args, key);
    bool negative = *text == '-';
    int64_t value = 0;
    for (text += negative; *text >= '0' && *text <= '9'; text++) value = value * 10 + (*text - '0');
    return negative ? -value : value;
}

#ifdef __cplusplus
}
#endif
#endif
