/* backend: the table that a backend plugin fills. A backend lists devices, opens one, makes buffers, says which nodes
 * it can run, compiles a whole program once and replays it. `reference` is the smallest complete example.
 *
 * Threads: an opened device is used by one thread at a time; different devices in parallel. Exceptions: `supports` may
 * be called from any thread, and `wait` is the only call allowed while another thread uses the device.
 * Order: one in-order queue per device with a rising 64-bit value. Each submit and transfer returns its value; work of
 * a higher value starts after the lower ones as far as memory can tell. The first failure sticks to the device:
 * every later wait, submit, upload and download returns it, with its message.
 * Failures: a call that fails keeps nothing, says why in err, and where it would have given a handle gives NULL. What
 * it was asked for may be asked again, and the device works on, unless it is lost. M3_ERR_MEMORY also when the host's
 * allocate gives NULL. NULL may be freed and closed.
 * `m3bsr conformance --layer system` checks what this page promises. To see a device lost and full it sets the device
 * options fail_after=N (INT: M3_ERR_DEVICE_LOST from the submit behind N on) and memory=BYTES (INT: that are held at
 * most), where the table of options has them. */
#ifndef M3BSR_BACKEND_H
#define M3BSR_BACKEND_H

#include "m3bsr/op.h"
#include "m3bsr/plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct m3_backend m3_backend;         /**< one opened plugin of one engine */
typedef struct m3_device_impl m3_device_impl; /**< one opened device */
typedef struct m3_buffer m3_buffer;           /**< device memory */
typedef struct m3_exec_impl m3_exec_impl;     /**< one compiled program */

/** `auto` takes the first non-empty class in this order. Unknown values rank last. */
typedef enum m3_device_class {
    M3_DEVICE_DISCRETE = 0,
    M3_DEVICE_INTEGRATED = 1,
    M3_DEVICE_CPU = 2,
    M3_DEVICE_SOFTWARE = 3, /**< a GPU interface on a CPU */
    M3_DEVICE_REFERENCE = 4 /**< correct, not fast: never chosen by auto */
} m3_device_class;

typedef struct m3_device_info {
    uint32_t size;
    m3_device_class device_class;
    char name[128];     /**< the device */
    char driver[128];   /**< driver or instruction set and its version */
    char features[256]; /**< what is used, separated by blanks */
} m3_device_info;

typedef struct m3_device_limits {
    uint32_t size;
    uint32_t offset_alignment; /**< bytes, a power of two: of a tensor's place */
    uint64_t largest_buffer;   /**< bytes */
    uint64_t largest_binding;  /**< bytes a kernel can see of a buffer */
    uint64_t memory_total;     /**< bytes, 0 when unknown */
    uint64_t memory_free;      /**< bytes, 0 when unknown */
    uint32_t map_alignment;    /**< bytes, a power of two; 0 where nothing can be mapped */
    bool unified;              /**< device memory is host memory */
    bool coherent;             /**< mapped memory needs no flush */
    bool overlaps;             /**< nodes of a program run side by side where they touch other memory: what one has read
                                    is then not overwritten soon, if there is room. Since ABI 1.2 */
} m3_device_limits;

/** Declared use of a buffer. Unknown bits are refused. */
enum {
    M3_BUFFER_DEVICE = 1u << 0,   /**< kernels read and write it */
    M3_BUFFER_UPLOAD = 1u << 1,   /**< target of upload */
    M3_BUFFER_DOWNLOAD = 1u << 2, /**< source of download */
    M3_BUFFER_MAPPABLE = 1u << 3  /**< buffer_map works */
};

enum { M3_MAP_READ = 1u << 0, M3_MAP_WRITE = 1u << 1 };

/** What a segment of a program holds. Unknown values are treated as M3_SEGMENT_SCRATCH. */
typedef enum m3_segment_role {
    M3_SEGMENT_INPUT = 0,    /**< uploaded before a run */
    M3_SEGMENT_OUTPUT = 1,   /**< downloaded after a run */
    M3_SEGMENT_CONSTANT = 2, /**< uploaded once, before the first run */
    M3_SEGMENT_STORE = 3,    /**< parameters and states, shared by programs */
    M3_SEGMENT_SCRATCH = 4   /**< temporaries; content is lost between runs */
} m3_segment_role;

typedef struct m3_segment {
    m3_segment_role role;
    uint64_t bytes;
} m3_segment;

/** What a device chooses by measurement. Since ABI 1.1. */
typedef struct m3_tuning {
    uint32_t size;
    uint32_t classes;  /**< classes of shapes whose choice is known */
    uint32_t measured; /**< of them since the device was opened */
    char path[512];    /**< the file that keeps them, "" when none does */
} m3_tuning;

/** What is known of a kernel, in the words of its driver: {"VGPRs", "40"}. Since ABI 1.2. */
typedef struct m3_kernel_figure {
    const char *name, *value;
} m3_kernel_figure;

/** A kernel that runs of a compiled program use. Since ABI 1.2. */
typedef struct m3_kernel_info {
    uint32_t size;
    const char *name;    /**< different for different code: source, entry, constants */
    uint32_t dispatches; /**< of a run that are launches of it */
    const uint32_t
        *nodes;        /**< [dispatches]: the node of each, by its place in the program, none below the one before */
    m3_span figures;   /**< of m3_kernel_figure; names differ */
    const char *lacks; /**< what is not among them and why, or "" */
} m3_kernel_info;

#define M3_NO_SEGMENT 0xffffffffu

/** Where a tensor lies: bytes into a segment, a multiple of offset_alignment. A run writes its outputs and nothing
 * else, but for the rest of a tensor's last 4 bytes when offset_alignment is at least 4: no other tensor lies there. */
typedef struct m3_place {
    uint32_t segment; /**< M3_NO_SEGMENT: not on this device */
    uint64_t offset;
} m3_place;

/** An ordered list of nodes with places. Borrowed for the call to program_compile only, except nodes, tensors and
 * constants' data, which outlive the executable. Aliases (M3_OP_ALIAS) do not occur: their places coincide.
 * Places of different tensors overlap in scratch as lifetimes allow, and where an op may work in place. */
typedef struct m3_program {
    uint32_t size;
    const char *name;
    uint32_t node_count;
    const m3_node *const *nodes;
    uint32_t tensor_count;
    const m3_place *places; /**< [tensor_count], by tensor id */
    uint32_t segment_count;
    const m3_segment *segments;
} m3_program;

/** The host loads a plugin whose required members are all there, and names the first that is NULL. An optional one that
 * is NULL, or behind `size`, is never called; its comment says what the host does without it. What frees (close,
 * device_close, buffer_free, exec_free) takes whatever its counterpart gave, cannot fail, and is not given NULL by the
 * host. `*device`, `*buffer`, `*exec` stay NULL where making them failed. The guide for backends, which is installed
 * with the documentation, goes through all of it with an example. */
typedef struct m3_backend_api {
    uint32_t size;

    /** Required. Once per engine. No device is a success that lists nothing and logs why. */
    m3_status (*open)(const m3_host *host, m3_backend **backend, m3_error *err);
    /** Required. Ends what open began, when every device is closed. */
    void (*close)(m3_backend *backend);
    /** Required. Fills up to `capacity` infos (each with its size set by the caller); count: how many there are. */
    m3_status (*list)(m3_backend *backend, m3_device_info *infos, uint32_t capacity, uint32_t *count, m3_error *err);

    /** Required. options: m3_option. With a table in `options` below, the known keys that were given, with canonical
     * values, the last one of each; what the table cannot say, such as a limit of the device, is M3_ERR_INVALID. A host
     * before ABI 1.2 hands over what was typed: a backend that relies on the table sets m3_plugin.host_minor to 2.
     * Without the table the options are as they were typed, for the backend to check. */
    m3_status (*device_open)(m3_backend *backend, uint32_t index, m3_span options, m3_device_impl **device,
                             m3_error *err);
    /** Required. Waits for its work first; a lost device closes too. */
    void (*device_close)(m3_device_impl *device);
    /** Required. Places in memory and sizes of segments follow from these. Asked once after device_open, and whenever
     * the memory that is free matters. offset_alignment and map_alignment are powers of two, largest_buffer is above 0:
     * else the device is not opened. */
    m3_status (*limits)(m3_device_impl *device, m3_device_limits *limits, m3_error *err);

    /** Required. M3_ERR_MEMORY says how much was asked and how much there is; also beyond largest_buffer.
     * M3_ERR_INVALID: 0 bytes, an unknown usage bit. */
    m3_status (*buffer_create)(m3_device_impl *device, uint64_t bytes, uint32_t usage, m3_buffer **buffer,
                               m3_error *err);
    /** Required. No work on the buffer is under way. */
    void (*buffer_free)(m3_device_impl *device, m3_buffer *buffer);
    /** Optional, both or none (NULL: no buffer is mappable, M3_BUFFER_MAPPABLE is refused). Does not wait. Mapping
     * invalidates, unmapping flushes. M3_ERR_INVALID: not M3_BUFFER_MAPPABLE, mapped already, no access or an unknown
     * one; M3_ERR_RANGE: not inside the buffer. */
    m3_status (*buffer_map)(m3_device_impl *device, m3_buffer *buffer, uint32_t access, uint64_t offset, uint64_t bytes,
                            void **pointer, m3_error *err);
    void (*buffer_unmap)(m3_device_impl *device, m3_buffer *buffer);
    /** Required. Queue a copy; host memory must stay until `value` is reached. Any offset and size, of any alignment;
     * of 0 bytes the host's memory may be NULL. M3_ERR_RANGE: not inside the buffer, of which nothing is copied;
     * M3_ERR_INVALID: the buffer was not made for it. */
    m3_status (*upload)(m3_device_impl *device, m3_buffer *to, uint64_t offset, const void *from, uint64_t bytes,
                        uint64_t *value, m3_error *err);
    /** Required. The same the other way. */
    m3_status (*download)(m3_device_impl *device, m3_buffer *from, uint64_t offset, void *to, uint64_t bytes,
                          uint64_t *value, m3_error *err);

    /** Required. M3_OK, or M3_ERR_UNSUPPORTED with the reason (dtype, shape, attribute, memory, missing capability,
     * with the figure; an op or type that it does not know). Any thread. What it says compile does. */
    m3_status (*supports)(m3_device_impl *device, const m3_node *node, m3_error *why);

    /** Required. Compile; buffers[i] holds segment i (at least its bytes) and outlives the executable. All memory that
     * runs need is made here: a run allocates nothing. M3_ERR_UNSUPPORTED: a node that `supports` refuses;
     * M3_ERR_RANGE: a place outside of its segment or not aligned, or a buffer smaller than its segment. */
    m3_status (*compile)(m3_device_impl *device, const m3_program *program, m3_buffer *const *buffers,
                         m3_exec_impl **exec, m3_error *err);
    /** Required. No run of it is under way; buffers stay. */
    void (*exec_free)(m3_device_impl *device, m3_exec_impl *exec);
    /** Required. Queue one run. */
    m3_status (*submit)(m3_device_impl *device, m3_exec_impl *exec, uint64_t *value, m3_error *err);
    /** Required. Until the queue has reached `value`; timeout 0 asks, UINT64_MAX waits for ever. 0 is always reached.
     * M3_ERR_TIMEOUT: time ran out; M3_ERR_RANGE: no call has returned this value. */
    m3_status (*wait)(m3_device_impl *device, uint64_t value, uint64_t timeout_ns, m3_error *err);

    /** Optional, both or none (NULL: no table of times by op). With profiling on, a run keeps times; node_times fills
     * node_count durations of the last run. */
    m3_status (*profile)(m3_device_impl *device, m3_exec_impl *exec, bool on, m3_error *err);
    m3_status (*node_times)(m3_device_impl *device, m3_exec_impl *exec, uint64_t *time_ns, uint32_t node_count,
                            m3_error *err);
    /** Optional (NULL: 0 is shown). Bytes of buffers and of everything else that the device holds now. */
    uint64_t (*memory_used)(m3_device_impl *device);
    /** Optional (NULL: no share of the peak is shown). Measure the device's peak of fused multiply-adds, about 0.2 s.
     */
    m3_status (*measure_peak)(m3_device_impl *device, double *gflops, m3_error *err);
    /** Optional (NULL: no line). Since ABI 1.1. What one run of a compiled program asks of the device, as a line for
     * people: "618 dispatches, 240 barriers, 1 submission". Ends with NUL, cut to `bytes`, which is at least 1. */
    void (*describe)(m3_device_impl *device, m3_exec_impl *exec, char *text, size_t bytes);
    /** Optional (NULL: there is nothing to tune). Since ABI 1.1. What is known by measurement. A backend that has this
     * has the device option tune=yes: compile then measures what is not known yet, and keeps it for devices that are
     * opened later. */
    m3_status (*tuning)(m3_device_impl *device, m3_tuning *tuning, m3_error *err);
    /** Optional (size before it: options come as they were typed). Since ABI 1.2. m3_option_desc: the options of its
     * devices, for the host's checks and for `m3bsr devices -v`. A default "" says that the device chooses. */
    m3_span options;
    /** Optional (NULL: `m3bsr graph --kernels` says so). Since ABI 1.2. Calls `tell` once for each kernel of a compiled
     * program, in the order in which a run needs them first; what it is told is borrowed for the call. May take as long
     * as compile, and changes nothing that later runs use. No run is under way. */
    m3_status (*kernels)(m3_device_impl *device, m3_exec_impl *exec,
                         void (*tell)(void *user, const m3_kernel_info *kernel), void *user, m3_error *err);
    /** Optional (NULL: whoever stops waits for the end of the run). Since ABI 1.2. A submit that somebody may want to
     * end: before each of its parts, which take as long as a kernel does where the device allows, it waits for those
     * before and looks at *stop. When that is not 0 it leaves the rest and returns M3_ERR_INTERRUPTED: what the run has
     * written is undefined, but for segments of M3_SEGMENT_STORE, which are as before the run, and the device works on.
     * So it looks until a part would write such a segment, and not from there on; with `anywhere` it looks to the
     * end, and segments of M3_SEGMENT_STORE may be undefined too. The same bits as by submit. It may return when all is
     * done, and does not stop while profiling is on.
     * @param stop  Set by another thread or a signal. */
    m3_status (*submit_until)(m3_device_impl *device, m3_exec_impl *exec, const volatile int *stop, bool anywhere,
                              uint64_t *value, m3_error *err);
} m3_backend_api;

#ifdef __cplusplus
}
#endif
#endif
