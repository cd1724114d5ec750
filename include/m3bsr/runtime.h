/* runtime: engines load plugins, devices run executables, stores hold parameters and states on a device. */
#ifndef M3BSR_RUNTIME_H
#define M3BSR_RUNTIME_H

#include "m3bsr/backend.h"
#include "m3bsr/graph.h"
#include "m3bsr/plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Engine: the plugin registry, a thread pool, logging. Two engines may share a process. Threads: one at a time. */

typedef struct m3_engine m3_engine;

typedef struct m3_engine_config {
    uint32_t size;
    const char *plugin_path; /**< extra folders, separated by ':', searched first; NULL: M3BSR_PLUGIN_PATH */
    uint32_t threads;        /**< 0: as many as the process may use */
    m3_log_fn log;           /**< NULL: warnings and errors to stderr */
    void *log_user;
    m3_log_level log_level;
    const char *cache_path;     /**< folder for compiled kernels; NULL: $XDG_CACHE_HOME/m3bsr or ~/.cache/m3bsr */
    bool allow_writable_folder; /**< load also what others can write or own */
    /** Hears of everything that a plugin is about to be asked for while it is found, opened and listed: `what` is
     * "loaded", "opened", "listed" or "opening a device". A crash behind this call is that plugin's. NULL: nobody. */
    void (*visit)(void *user, const char *path, const char *what);
    void *visit_user;
    m3_span avoid; /**< m3_plugin_avoid: files that are not touched, but reported as skipped; copied */
    /** Hears how far a device is with what takes seconds: `done` of `total`, such as kernels while `what` is "compiling
     * kernels". The last call has done = total. From any thread, one call at a time. NULL: nobody. */
    void (*progress)(void *user, const char *what, uint32_t done, uint32_t total);
    void *progress_user;
} m3_engine_config;

typedef struct m3_plugin_avoid {
    const char *path;   /**< as m3_plugin_report has it */
    const char *reason; /**< why the report says that it was skipped */
} m3_plugin_avoid;

/** @param config  Copied; NULL is all defaults. A plugin that fails to load is reported (m3_engine_plugin), never
 * fatal. */
M3_API m3_status m3_engine_create(const m3_engine_config *config, m3_engine **engine, m3_error *err);
/** Every device of the engine must be closed before. */
M3_API void m3_engine_free(m3_engine *engine);

typedef struct m3_plugin_report {
    uint32_t size;
    const char *path; /**< absolute path of the file or folder */
    const char *name; /**< "" when it could not be read */
    const char *kind; /**< "backend", "encoder", "expert", "collectives", "" */
    const char *version;
    bool loaded;
    const char *reason; /**< why it was skipped, or "" */
} m3_plugin_report;

/** In the order of the search, skipped ones too. Strings live as long as the engine. */
M3_API uint32_t m3_engine_plugin_count(const m3_engine *engine);
M3_API void m3_engine_plugin(const m3_engine *engine, uint32_t index, m3_plugin_report *report);
/** An encoder or expert by name; M3_ERR_INVALID lists the known names. */
M3_API m3_status m3_engine_module(const m3_engine *engine, m3_plugin_kind kind, const char *name,
                                  const m3_module_api **module, m3_error *err);
/** The k-th loaded module of a kind, NULL at the end; for listing options. */
M3_API const m3_module_api *m3_engine_module_at(const m3_engine *engine, m3_plugin_kind kind, uint32_t index,
                                                const char **name);
/** The options of a backend's devices, as m3_option_desc; none when the backend describes none or is not loaded.
 * @param name  A backend or a device: "cpu", "cpu:0". */
M3_API m3_span m3_engine_backend_options(const m3_engine *engine, const char *name);
/** What an option takes, in words, cut to `bytes`: "a whole number from 1 to 64", "linear|cosine". */
M3_API void m3_option_takes(const m3_option_desc *desc, char *text, size_t bytes);
/** Custom ops of all plugins, for m3_graph_create. */
M3_API const m3_op_lookup *m3_engine_ops(const m3_engine *engine);
M3_API uint32_t m3_engine_threads(const m3_engine *engine);

/** All devices of all backends, in the order of the backends' names. name is "cpu:0". Fills what fits. */
typedef struct m3_device_entry {
    char name[64];
    m3_device_info info;
} m3_device_entry;
M3_API m3_status m3_engine_devices(m3_engine *engine, m3_device_entry *entries, uint32_t capacity, uint32_t *count,
                                   m3_error *err);

/* Device. Threads: one at a time per device. */

typedef struct m3_device m3_device;

/** @param name     "auto" (best class first), "cpu", "cpu:0".
 * @param options  m3_option. Unknown keys and bad values are M3_ERR_INVALID with what there is. */
M3_API m3_status m3_device_open(m3_engine *engine, const char *name, m3_span options, m3_device **device,
                                m3_error *err);
/** Stores and executables of the device must be freed before. */
M3_API void m3_device_close(m3_device *device);
M3_API const char *m3_device_name(const m3_device *device);
M3_API const m3_device_info *m3_device_get_info(const m3_device *device);
M3_API m3_status m3_device_get_limits(m3_device *device, m3_device_limits *limits, m3_error *err);
M3_API uint64_t m3_device_memory_used(m3_device *device); /**< bytes; 0 when the backend does not tell */
M3_API m3_status m3_device_measure_peak(m3_device *device, double *gflops, m3_error *err);
/** What the device knows by measurement; M3_ERR_UNSUPPORTED when its backend measures nothing. */
M3_API m3_status m3_device_tuning(m3_device *device, m3_tuning *tuning, m3_error *err);
/** How long the device has been at work that has not come back, in nanoseconds; 0 when it is idle. May be called from
 * any thread while the device is open.
 * @param what  "runs", "compiles" or "copies"; borrowed for good. May be NULL. */
M3_API uint64_t m3_device_busy(const m3_device *device, const char **what);
/** Whether the device runs this node; the reason in err when not. */
M3_API m3_status m3_device_supports(m3_device *device, const m3_node *node, m3_error *why);
M3_API m3_engine *m3_device_engine(m3_device *device);

/* Store: named parameters and states on one device, shared by the executables that are compiled with it. */

typedef struct m3_store m3_store;

/** @param seed  Starts of parameters that no m3_store_write has set come from it, by name, the same on every device. */
M3_API m3_status m3_store_create(m3_device *device, uint64_t seed, m3_store **store, m3_error *err);
M3_API void m3_store_free(m3_store *store);
/** Set a tensor, making it when it is not there; M3_ERR_INVALID when it is there with another type or shape. Waits. */
M3_API m3_status m3_store_write(m3_store *store, const char *name, m3_dtype dtype, const m3_shape *shape,
                                const void *data, m3_error *err);
/** Copy a tensor's bytes to `data`, which has room for all of them. Waits. */
M3_API m3_status m3_store_read(m3_store *store, const char *name, void *data, uint64_t bytes, m3_error *err);
typedef struct m3_store_entry {
    const char *name;
    m3_tensor_kind kind; /**< M3_PARAMETER or M3_STATE */
    m3_dtype dtype;
    m3_shape shape;
} m3_store_entry;
/** In the order of making; names live as long as the store. */
M3_API uint32_t m3_store_count(const m3_store *store);
M3_API void m3_store_at(const m3_store *store, uint32_t index, m3_store_entry *entry);
/** false when the name is not there. */
M3_API bool m3_store_find(const m3_store *store, const char *name, m3_store_entry *entry);

/* Executable: a graph compiled for a device. Threads: as its device. */

typedef struct m3_executable m3_executable;

typedef struct m3_compile_options {
    uint32_t size;
    const char *name;           /**< for messages and traces, e.g. "train" */
    const char *const *no_pass; /**< names of passes to leave out, ended by NULL; NULL: none */
    bool strict;                /**< a node that the device does not run is an error, not a fallback */
    m3_span fallbacks;          /**< m3_device *: other opened devices for what the device refuses, in order */
    m3_dtype precision; /**< of activations and what products read: M3_F32, M3_F16 or M3_BF16; see m3bsr-config(5) */
    uint32_t recompute; /**< for less memory 1/N of the work may be done twice; 0: none */
} m3_compile_options;

/** Run passes, decompose what the device refuses, partition, plan memory and compile. Parameters and states of the
 * graph are looked up in the store by name and made, with their initial values, when they are not there.
 * @param graph  Read only; may be freed afterwards. */
M3_API m3_status m3_executable_create(m3_device *device, m3_store *store, const m3_graph *graph,
                                      const m3_compile_options *options, m3_executable **executable, m3_error *err);
M3_API void m3_executable_free(m3_executable *executable);

/** Host memory of an input, to be written before a run; it keeps its content between runs. NULL: no such input (it may
 * also be unused and removed: then writing is not needed). bytes may be NULL. */
M3_API void *m3_executable_input(m3_executable *executable, const char *name, uint64_t *bytes);
/** Host memory of an output, valid after a run until the next. NULL: no such output. */
M3_API const void *m3_executable_output(m3_executable *executable, const char *name, uint64_t *bytes);
/** Shape and type of an output. */
M3_API const m3_tensor *m3_executable_output_tensor(const m3_executable *executable, const char *name);
/** Upload the inputs, run, download the outputs and wait. Allocates nothing. */
M3_API m3_status m3_executable_run(m3_executable *executable, m3_error *err);

/** Facts about a compiled executable. */
typedef struct m3_executable_stats {
    uint32_t size;
    uint32_t nodes;          /**< that run, aliases not counted */
    uint32_t fallback_nodes; /**< of them on another device */
    uint64_t flops;          /**< executed in a run */
    uint64_t scratch_bytes;  /**< temporaries, after reuse */
    uint64_t store_bytes;
    uint64_t input_bytes, output_bytes, constant_bytes;
    uint64_t read_bytes, written_bytes; /**< by the nodes of a run, as m3_node_traffic counts */
} m3_executable_stats;
M3_API void m3_executable_get_stats(const m3_executable *executable, m3_executable_stats *stats);

/** One node of the compiled program, in order. */
typedef struct m3_executable_node {
    uint32_t size;
    const m3_node *node;
    const char *device;     /**< where it runs */
    const char *reason;     /**< why not on the wanted device, or "" */
    const m3_place *places; /**< of the node's device, by tensor id */
    uint64_t time_ns;       /**< of the last profiled run, else 0 */
} m3_executable_node;
M3_API uint32_t m3_executable_node_count(const m3_executable *executable);
M3_API void m3_executable_node_at(const m3_executable *executable, uint32_t index, m3_executable_node *node);
/** The graph after passes; borrowed. */
M3_API const m3_graph *m3_executable_graph(const m3_executable *executable);
/** Keep times per node in the next runs. */
M3_API m3_status m3_executable_profile(m3_executable *executable, bool on, m3_error *err);
/** `m3bsr graph`: nodes, shapes, FLOPs, bytes, places, devices and the peak. */
M3_API void m3_executable_dump(const m3_executable *executable, FILE *to);

/** A kernel that runs of an executable use. */
typedef struct m3_executable_kernel {
    uint32_t size;
    const char *device;
    const m3_kernel_info *info; /**< what the device's backend says of it; nodes are those of its own program */
    uint32_t nodes;             /**< of a run that it takes part in */
    uint64_t flops, bytes;      /**< of these nodes, as m3_node_flops and m3_node_traffic count */
} m3_executable_kernel;
/** Calls `tell` for each kernel, in the order in which a run needs them first; what it is told is borrowed for the
 * call. May take as long as compiling did. M3_ERR_UNSUPPORTED: a device's backend does not say anything of its kernels;
 * those of the other devices are told. */
M3_API m3_status m3_executable_kernels(m3_executable *executable,
                                       void (*tell)(void *user, const m3_executable_kernel *kernel), void *user,
                                       m3_error *err);

/** Names of the passes that can be turned off, ended by NULL. */
M3_API const char *const *m3_pass_names(void);

#ifdef __cplusplus
}
#endif
#endif
