/* lower: how a node becomes dispatches of kernels, once for every backend that has a kernel language. A backend gives
 * its device's traits; lowering chooses kernels, tile sizes and launch geometry; the backend compiles what is named and
 * binds what is listed. So shaders/opencl/NAME.cl and shaders/vulkan/NAME.comp have the same entries with the same
 * constants, buffers and words, in the same order, and this folder knows neither of the two interfaces.
 *
 * Each file of ops/ publishes a table of gpu_op, ended by a NULL name, and ops/list.c names the tables:
 *
 *   static void lower(gpu_list *l, const m3_node *node)
 *   {
 *       gpu_dispatch *d = gpu_begin(l, "rows", "row_norm");     entry row_norm of rows.cl and rows.comp
 *       gpu_constant(d, "LANES", (int32_t)lanes);                known when the kernel is compiled
 *       gpu_read(d, node->in[0]);                                buffers, in the order of the kernel's parameters
 *       gpu_write(d, node->out[0]);
 *       gpu_u32(d, rows);                                        words, in the order of the kernel's parameters
 *       gpu_items(d, rows);                                      geometry; without it nothing is launched
 *   }
 *   const gpu_op gpu_rows_ops[] = {{"row_norm", supports, lower}, {0}};
 *
 * The list keeps its first error, as a builder does, so lowering needs no checks; what a device cannot do is said by
 * supports before. Dispatches run in order, each sees what the ones before it wrote. Any extent may be 0: a dispatch
 * with nothing to do must not be begun. An output may lie exactly on an input where the op allows it.
 * Results must not depend on timing: sums have a fixed order, which shapes and traits alone decide.
 * Threads: a list is used by one thread; everything else here is constant. */
#ifndef GPU_LOWER_H
#define GPU_LOWER_H

#include "m3bsr/backend.h"

enum { GPU_MAX_BUFFERS = 16, GPU_MAX_WORDS = 32, GPU_MAX_CONSTANTS = 16 };

typedef struct gpu_tuning gpu_tuning; /* tuning.h */

/* What lowering asks of a device. */
typedef struct gpu_traits {
    uint32_t lanes;            /* items of one group that work on a row together; 1: a processor, whose items take whole
                                  rows and whose vectors lie along them. A power of two */
    uint32_t vector;           /* f32 that an item reads at once: 16, 8, 4 or 1 */
    uint32_t group;            /* items of a group where nothing else decides it; a power of two */
    uint32_t largest_group;    /* items of any group */
    uint32_t largest_count[3]; /* groups along each axis */
    uint32_t units;            /* compute units, at least 1 */
    uint32_t simulated;        /* 0, or items of the vectors by which a processor plays a GPU (llvmpipe): barriers cost
                                  more than a thousand additions, neighbouring words are no cheaper than others, and
                                  all loops of an item end, silently, after 65535 turns in all */
    uint64_t local_bytes;      /* memory that a group shares */
    uint64_t largest_binding;  /* bytes of a buffer that a kernel sees */
    const gpu_tuning *tuning;  /* measured choices, or NULL */
    const char *way;           /* for products that can be computed so, whatever was measured; or NULL */
    bool clblast;              /* the backend runs source "clblast", entry "gemm", by a call of that library: constants
                                  TRANSPOSE_A, TRANSPOSE_B; buffers a, b, c; words m, n, k, lda, ldb, ldc, strides and
                                  first elements of a, b, c, number of products. Geometry means nothing there */
} gpu_traits;

/* Memory as a dispatch sees it. */
typedef enum gpu_memory {
    GPU_NOTHING = 0, /* an absent input, or one without elements: the kernel must not touch it */
    GPU_SEGMENT = 1, /* of the program */
    GPU_SCRATCH = 2, /* of the node that is lowered: lost when its last dispatch is done */
    GPU_TABLE = 3    /* numbers that lowering wrote, uploaded once */
} gpu_memory;

typedef struct gpu_view {
    gpu_memory memory;
    uint32_t segment;
    uint64_t offset, bytes; /* aligned as the device wants it */
    bool read, write;
} gpu_view;

typedef struct gpu_constant_value {
    const char *name; /* static */
    int32_t value;
} gpu_constant_value;

typedef struct gpu_list gpu_list;

typedef struct gpu_dispatch {
    gpu_list *list;
    const char *source, *entry; /* static */
    uint32_t node;              /* index in the program */
    uint32_t constant_count, buffer_count, word_count;
    gpu_constant_value constants[GPU_MAX_CONSTANTS];
    gpu_view buffers[GPU_MAX_BUFFERS];
    uint32_t words[GPU_MAX_WORDS]; /* u32, i32 or the bits of f32 */
    uint32_t group[3], count[3];   /* items of a group, and groups; count 0: nothing to launch */
    bool any_group;                /* the kernel counts items only: groups may be of any size that makes up as many */
} gpu_dispatch;

struct gpu_list {
    const m3_host *host;
    const gpu_traits *traits;
    const m3_program *program;
    uint32_t alignment; /* of views, in bytes */
    uint32_t node;      /* that is lowered */
    gpu_dispatch *dispatches;
    uint32_t count, capacity;
    uint64_t scratch_at;    /* of this node */
    uint64_t scratch_bytes; /* most of any node */
    unsigned char *table;   /* bytes of all tables */
    uint64_t table_bytes, table_room;
    m3_error error;     /* the first one; code M3_OK while all is well */
    gpu_dispatch spare; /* what gpu_begin gives after an error */
};

typedef struct gpu_op {
    const char *name;
    /* M3_OK or M3_ERR_UNSUPPORTED with the reason and the figure. Types and sizes that no kernel knows (f64; 2^31
     * elements) have been refused before. NULL: everything that its shape rule accepts. */
    m3_status (*supports)(const gpu_traits *traits, const m3_node *node, m3_error *why);
    void (*lower)(gpu_list *l, const m3_node *node);
} gpu_op;

/* Can a node be lowered for the device? Any thread. */
m3_status gpu_supports(const gpu_traits *traits, const m3_node *node, m3_error *why);

/* Lower every node of a program but those that `leave` names, which the backend runs by itself (NULL: none). On success
 * list->dispatches is complete and must be freed with gpu_list_fini, which also takes a zeroed list or a failed one. */
m3_status gpu_lower(gpu_list *l, const m3_host *host, const gpu_traits *traits, const m3_program *program,
                    uint32_t alignment, bool (*leave)(const m3_node *node), m3_error *err);
void gpu_list_fini(gpu_list *l);

/* Writing a dispatch. None fails: the list keeps the first error. */
gpu_dispatch *gpu_begin(gpu_list *l, const char *source, const char *entry);
void gpu_constant(gpu_dispatch *d, const char *name, int32_t value);
/* The tensor's memory; NULL or no elements: GPU_NOTHING. gpu_update reads and writes. */
void gpu_read(gpu_dispatch *d, const m3_tensor *x);
void gpu_write(gpu_dispatch *d, const m3_tensor *x);
void gpu_update(gpu_dispatch *d, const m3_tensor *x);
void gpu_bind(gpu_dispatch *d, gpu_view view, bool read, bool write);
void gpu_u32(gpu_dispatch *d, uint64_t value); /* an error when it does not fit */
void gpu_i32(gpu_dispatch *d, int64_t value);
void gpu_f32(gpu_dispatch *d, float value);

/* Geometry. gpu_items: at least `items` items along x, and along y when x cannot hold them; the kernel numbers them
 * with ITEM and leaves when it is past the end. gpu_rows: a group of `lanes` items for each row where lanes > 1,
 * else an item for each row; the kernel numbers rows with ROW and items within one with LANE, from constant LANES,
 * which this sets. gpu_groups: as said. */
void gpu_items(gpu_dispatch *d, uint64_t items);
void gpu_rows(gpu_dispatch *d, uint64_t rows, uint32_t lanes);
void gpu_groups(gpu_dispatch *d, uint64_t x, uint64_t y, uint64_t z, uint32_t group_x, uint32_t group_y,
                uint32_t group_z);

/* Memory of the node's own: content is undefined, and lost after its last dispatch. */
gpu_view gpu_scratch(gpu_list *l, uint64_t bytes);
/* Numbers that are uploaded once; copied. */
gpu_view gpu_table(gpu_list *l, const void *data, uint64_t bytes);
/* The memory of a tensor, and of a whole segment of the program. */
gpu_view gpu_tensor(gpu_list *l, const m3_tensor *x);
gpu_view gpu_segment(gpu_list *l, uint32_t segment);
void gpu_fail_memory(gpu_list *l, uint64_t bytes);

/* Shapes. */

/* Rows and length of the last axis; a rank of 0 is one row of one. */
static inline uint64_t gpu_last(const m3_tensor *x)
{
    return x->shape.rank == 0 ? 1 : x->shape.dim[x->shape.rank - 1];
}

static inline uint64_t gpu_row_count(const m3_tensor *x)
{
    uint64_t rows = 1;
    for (uint32_t i = 0; i + 1 < x->shape.rank; i++) rows *= x->shape.dim[i];
    return rows;
}

/* Pieces of at most `part` that count is cut into; a part of 0 is as good as 1. */
static inline uint64_t gpu_parts(uint64_t count, uint64_t part)
{
    return part == 0 ? count : (count + part - 1) / part;
}

/* Output and operands of a broadcast, with axes joined as far as all operands allow: strides are in elements, 0 where
 * an operand stands still. rank >= 1. */
enum { GPU_MAX_OPERANDS = 3 };
typedef struct gpu_axes {
    uint32_t rank, operands;
    uint64_t dim[M3_MAX_RANK];
    uint64_t stride[GPU_MAX_OPERANDS][M3_MAX_RANK];
} gpu_axes;
gpu_axes gpu_axes_of(const m3_shape *out, const m3_shape *const *operand, uint32_t operands);

#endif
