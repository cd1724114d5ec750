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

#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "m3bsr/base.h"
#include "m3bsr/op.h"

#ifdef __cplusplus
extern "C" {
#endif

#define M3_PLUGIN_MAGIC 0x5033424du /* "M3BP" read as little endian */
enum { M3_ABI_MAJOR = 1, M3_ABI_MINOR = 4 };

/** What a plugin brings. Unknown kinds are reported and skipped. */
typedef enum m3_plugin_kind {
    M3_PLUGIN_BACKEND = 1, /**< table: m3_backend_api (backend.h) */
    M3_PLUGIN_ENCODER = 2, /**< table: m3_module_api */
    M3_PLUGIN_EXPERT = 3,  /**< table: m3_module_api */
    /** Since ABI 1.3. Table: m3_collectives_api (collectives.h). */
    M3_PLUGIN_COLLECTIVES = 4
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
    /** Since ABI 1.2. A call that may take seconds tells how far it is: `done` of `total`, from 0 on; with done = total
     * it is over, also where it failed. `what` is for people, such as "compiling kernels". */
    void (*progress)(void *user, const char *what, uint32_t done, uint32_t total);
} m3_host;

/* Options: key=value from the command line or the configuration. A table of descriptions says which keys there are; the
 * host checks every value against it and hands over the canonical text, so a plugin never sees another spelling:
 *
 *   type    taken                                                    canonical
 *   INT     decimal, also 1e3 and 4.0 when the value is whole        digits, with - where negative: 1000
 *   FLOAT   decimal, with point or exponent: .5, +4, 1e-3            shortest that reads back: 0.5, 4, 0.001
 *   BOOL    true yes on, false no off, in any case                   true, false
 *   TEXT    any                                                      the same
 *   CHOICE  one of the choices, exactly                              the same
 *   INTS    [7, 5], or 7, 5                                          [7, 5]
 *   TEXTS   [a, b], or a alone; none for the empty list              [a, b]
 *
 * The decimal point is a point whatever the locale of the process. Hexadecimal numbers, infinity and NaN are refused.
 */

/** key=value. */
typedef struct m3_option {
    const char *key;
    const char *value;
} m3_option;

/** Type of an option's value. Unknown types are refused. */
typedef enum m3_option_type {
    M3_OPTION_INT = 0, /**< of 64 bits */
    M3_OPTION_FLOAT = 1,
    M3_OPTION_BOOL = 2,
    M3_OPTION_TEXT = 3,
    M3_OPTION_CHOICE = 4, /**< Since ABI 1.2. */
    M3_OPTION_INTS = 5,   /**< Since ABI 1.2. */
    M3_OPTION_TEXTS = 6   /**< Since ABI 1.2. `choices` are words that stand for a list, such as all. */
} m3_option_type;

/** An option that a module or a device reads. A key that several modules declare is shared. */
typedef struct m3_option_desc {
    uint32_t size;
    const char *key;
    m3_option_type type;
    const char *fallback; /**< the default, as text; of a device also "": the device chooses */
    double min, max;      /**< numbers and entries of lists: inclusive; INT: from 2^63 on there is no upper limit */
    const char *help;     /**< one line */
    const char *choices;  /**< Since ABI 1.2. CHOICE: joined by '|', such as "linear|cosine". Else NULL. */
} m3_option_desc;

/** Elements of a table of descriptions. */
#define M3_DESCRIBE(key_, type_, fallback_, min_, max_, choices_, help_)                                               \
    {                                                                                                                  \
        .size = M3_STRUCT_SIZE(m3_option_desc, choices), .key = (key_), .type = (type_), .fallback = (fallback_),      \
        .min = (min_), .max = (max_), .help = (help_), .choices = (choices_)                                           \
    }
#define M3_DESCRIBE_INT(key, min, max, fallback, help) M3_DESCRIBE(key, M3_OPTION_INT, fallback, min, max, NULL, help)
#define M3_DESCRIBE_FLOAT(key, min, max, fallback, help)                                                               \
    M3_DESCRIBE(key, M3_OPTION_FLOAT, fallback, min, max, NULL, help)
#define M3_DESCRIBE_BOOL(key, fallback, help) M3_DESCRIBE(key, M3_OPTION_BOOL, fallback, 0, 1, NULL, help)
#define M3_DESCRIBE_TEXT(key, fallback, help) M3_DESCRIBE(key, M3_OPTION_TEXT, fallback, 0, 0, NULL, help)
#define M3_DESCRIBE_CHOICE(key, choices, fallback, help)                                                               \
    M3_DESCRIBE(key, M3_OPTION_CHOICE, fallback, 0, 0, choices, help)

/* The readers below take canonical text. They need nothing but the C library. `otherwise` is for a key that was not
 * given; the last one of a key counts. */

/** The text, or `otherwise`. */
static inline const char *m3_options_text(m3_span options, const char *key, const char *otherwise)
{
    const char *value = otherwise;
    for (uint32_t i = 0; i < options.count; i++) {
        const m3_option *option = (const m3_option *)m3_span_at(options, i);
        if (strcmp(option->key, key) == 0) value = option->value;
    }
    return value;
}

static inline int64_t m3_options_int(m3_span options, const char *key, int64_t otherwise)
{
    const char *text = m3_options_text(options, key, NULL);
    return text != NULL ? (int64_t)strtoll(text, NULL, 10) : otherwise;
}

/** strtod wants the decimal point of the process's locale, which may be several bytes long. */
static inline double m3_options_float(m3_span options, const char *key, double otherwise)
{
    char local[96];
    const char *text = m3_options_text(options, key, NULL);
    if (text == NULL) return otherwise;
    const char *point = strchr(text, '.');
    if (point == NULL) return strtod(text, NULL);
    (void)snprintf(local, sizeof local, "%.*s%s%s", (int)(point - text), text, localeconv()->decimal_point, point + 1);
    return strtod(local, NULL);
}

static inline bool m3_options_bool(m3_span options, const char *key, bool otherwise)
{
    const char *text = m3_options_text(options, key, NULL);
    return text != NULL ? text[0] == 't' : otherwise;
}

/** The place of the value among the choices, from 0. @param choices  As in the description. */
static inline int m3_options_choice(m3_span options, const char *key, const char *choices, int otherwise)
{
    const char *text = m3_options_text(options, key, NULL);
    if (text == NULL) return otherwise;
    const size_t length = strlen(text);
    for (int place = 0;; place++) {
        const size_t choice = strcspn(choices, "|");
        if (choice == length && memcmp(choices, text, length) == 0) return place;
        if (choices[choice] == 0) return otherwise;
        choices += choice + 1;
    }
}

typedef struct m3_plugin {
    uint32_t size;
    uint32_t magic;                /**< M3_PLUGIN_MAGIC */
    uint32_t abi_major, abi_minor; /**< M3_ABI_MAJOR, M3_ABI_MINOR that it was built with */
    uint32_t host_minor;           /**< oldest host minor that it works with */
    m3_plugin_kind kind;
    const char *name;    /**< unique within its kind: [a-z0-9_-]+, at most 47 characters; no backend is named auto */
    const char *version; /**< the plugin's own */
    const char *build;   /**< compiler and date or revision, for bug reports */
    const void *table;   /**< of its kind */
} m3_plugin;

typedef const m3_plugin *(*m3_plugin_query_fn)(void);
#define M3_PLUGIN_SYMBOL "m3_plugin_query"
M3_API const m3_plugin *m3_plugin_query(void);

/* Encoders and experts. */

/** What a module's build is given beside its tensors. */
typedef struct m3_module_args {
    uint32_t size;
    uint32_t width;    /**< d */
    m3_span options;   /**< m3_option: one for each that the module declared, in canonical text */
    uint32_t modality; /**< encoders: 1 .. K, the feature modality; 0 for ids */
} m3_module_args;

/** Table of an encoder or an expert. */
typedef struct m3_module_api {
    uint32_t size;
    m3_span options; /**< m3_option_desc: keys of the configuration */
    m3_span ops;     /**< const m3_op: custom ops to register; names are "PLUGIN.op" */
    /** Required. Append the module to the graph.
     *   Encoder: x f32 [*, n, L, D] the raw features (0 where padded), mask bool [*, n, L] -> [*, n, L, d]: the part
     *            before position and norm (MODEL.md 4).
     *   Expert:  x f32 [*, n, L, d], mask bool [*, n, L], left-padded -> [*, n, d], 0 for an empty sequence
     *            (MODEL.md 7). When group > 0 parameters come grouped [G, ...] and x's first axis is G;
     *            m3_linear and m3_layer_norm know both forms.
     * Declare parameters with m3_parameter; names are relative to the scope. NULL when an error is kept.
     * It is not called once the builder keeps an error, so b, x and mask are always there. A result of another type or
     * shape, or a scope that is left open, is an error that names the plugin. Parameters have the same names and shapes
     * in every build: a model is built several times, grouped and not, for batches of several sizes, and a trained one
     * is found by these names. `m3bsr conformance --layer modules` checks it at small sizes. */
    m3_tensor *(*build)(m3_builder *b, const m3_module_args *args, m3_tensor *x, m3_tensor *mask, uint32_t group);
} m3_module_api;

/** Text of an option, "" when the module did not declare it. */
static inline const char *m3_option_text(const m3_module_args *args, const char *key)
{
    return m3_options_text(args->options, key, "");
}

static inline int64_t m3_option_int(const m3_module_args *args, const char *key)
{
    return m3_options_int(args->options, key, 0);
}

static inline double m3_option_float(const m3_module_args *args, const char *key)
{
    return m3_options_float(args->options, key, 0.0);
}

static inline bool m3_option_bool(const m3_module_args *args, const char *key)
{
    return m3_options_bool(args->options, key, false);
}

/** The place among the choices, from 0; -1: the module did not declare the option. */
static inline int m3_option_choice(const m3_module_args *args, const char *key, const char *choices)
{
    return m3_options_choice(args->options, key, choices, -1);
}

#ifdef __cplusplus
}
#endif
#endif
