/* lower: how a node becomes dispatches of kernels, once for every backend that has a kernel language. A backend gives
 * its device's traits; lowering chooses kernels, tile sizes and launch geometry; the backend compiles what is named and
 * binds what is listed. What a kernel is given stands in shaders/contract, for all languages, and contract.h writes it
 * by name; this folder knows neither of the two interfaces.
 *
 * This header has the traits and the list of dispatches. program.h passes over the nodes of a program, and the list is
 * written by the file of ops/ that has the node's op, or by custom.h where the op brings its own kernel. Each file of
 * ops/ publishes a table of lower_op (ops/list.h), ended by a NULL name:
 *
 *   static void lower(lower_list *l, const m3_node *node)
 *   {
 *       lower_dispatch *d = LOWER(l, row_norm, .VECTOR = l->traits->vector, .x = lower_tensor(l, node->in[0]),
 *                                 .y = lower_tensor(l, node->out[0]), .rows = rows);
 *       lower_items(d, rows);                                      geometry; without it nothing is launched
 *   }
 *   const lower_op lower_rows_ops[] = {{"row_norm", supports, lower}, {0}};
 *
 * The list keeps its first error, as a builder does, so lowering needs no checks; what a device cannot do is said by
 * supports before. Dispatches run in order, each sees what the ones before it wrote. Any extent may be 0: a dispatch
 * with nothing to do must not be begun. An output may lie exactly on an input where the op allows it.
 * Results must not depend on timing: sums have a fixed order, which shapes and traits alone decide.
 * Threads: a list is used by one thread; everything else here is constant. */
#ifndef LOWER_LOWER_H
#define LOWER_LOWER_H

#include "backends/lowering/tape.h"
#include "m3bsr/backend.h"

enum { LOWER_MAX_BUFFERS = 16, LOWER_MAX_WORDS = 32, LOWER_MAX_CONSTANTS = 16 };

typedef struct lower_tuning lower_tuning; /* tuning.h */

/* What kernels that custom ops bring may be like. */
typedef struct lower_custom_limits {
    const char *language;     /* of m3_kernel_desc; NULL: the backend takes none */
    uint64_t group_items;     /* work-items of a workgroup */
    uint64_t group_extent[3]; /* along each axis */
    uint32_t group_count[3];  /* workgroups along each axis */
} lower_custom_limits;

/* What kind of device the kernels are for. */
typedef enum lower_kind {
    LOWER_GPU = 0,          /* items of a group work on a row together; neighbours touch neighbouring words */
    LOWER_PROCESSOR = 1,    /* an item takes whole rows, alone in what it does, and vectors lie along them */
    LOWER_SIMULATED_GPU = 2 /* a processor plays a GPU (llvmpipe): barriers cost more than a thousand additions,
                               neighbouring words are no cheaper than others, and all loops of an item end, silently,
                               after 65535 iterations in all */
} lower_kind;

/* Subgroups whose items exchange values without memory, where a kernel can ask for full ones of a known size. */
typedef struct lower_subgroups {
    uint32_t items; /* of one, a power of two; 0: kernels have no such */
    uint32_t least; /* that one may have instead, where groups are smaller; likewise */
    uint32_t most;  /* of a group */
} lower_subgroups;

/* Matrices of 16 x 16 halves that the items of a subgroup multiply together, with sums of f32. */
typedef struct lower_matrices {
    uint32_t items; /* of a subgroup; 0: the device has none */
    bool played;    /* by loops over shared memory, to try them */
} lower_matrices;

/* What lowering knows of a device. */
typedef struct lower_traits {
    lower_kind kind;
    uint32_t lanes;            /* items of one group that work on a row together, a power of two; 1 of a processor */
    uint32_t vector;           /* f32 that an item reads at once: 16, 8, 4 or 1 */
    uint32_t group;            /* items of a group where nothing else decides it; a power of two */
    uint32_t largest_group;    /* items of any group */
    uint32_t largest_count[3]; /* groups along each axis */
    uint32_t units;            /* compute units, at least 1 */
    uint32_t simulated;        /* of a simulated GPU, items of the vectors that play a group; else 0 */
    lower_subgroups subgroups;
    lower_matrices matrices;
    uint64_t local_bytes;       /* memory that a group shares */
    uint64_t largest_binding;   /* bytes of a buffer that a kernel sees */
    const lower_tuning *tuning; /* measured choices, or NULL */
    const char *variant;        /* of nodes that can be computed by it, whatever was measured; or NULL */
    bool clblast; /* the backend runs the entry gemm by a call of that library; geometry means nothing there */
    lower_custom_limits custom;
} lower_traits;

/* Memory as a dispatch sees it. */
typedef enum lower_memory {
    LOWER_NOTHING = 0, /* an absent input, or one without elements: the kernel must not touch it */
    LOWER_SEGMENT = 1, /* of the program */
    LOWER_SCRATCH = 2, /* of the node that is lowered: lost when its last dispatch is done */
    LOWER_TABLE = 3    /* numbers that lowering wrote, uploaded once */
} lower_memory;

typedef struct lower_view {
    lower_memory memory;
    uint32_t segment;
    uint64_t offset, bytes; /* aligned as the device wants it */
    bool read, write;
} lower_view;

typedef struct lower_constant_value {
    const char *name; /* static */
    int32_t value;
} lower_constant_value;

typedef struct lower_list lower_list;

typedef struct lower_dispatch {
    lower_list *list;
    const char *source, *entry; /* static; without a source, of the kernel that the node's op brings (custom.h) */
    uint32_t node;              /* index in the program */
    uint32_t constant_count, buffer_count, word_count;
    lower_constant_value constants[LOWER_MAX_CONSTANTS];
    lower_view buffers[LOWER_MAX_BUFFERS];
    uint32_t words[LOWER_MAX_WORDS]; /* u32, i32 or the bits of f32 */
    uint32_t group[3], count[3];     /* items of a group, and groups; count 0: nothing to launch */
    bool any_group;                  /* the kernel counts items only: groups may be of any size that makes up as many */
    lower_tape tape;                 /* that the backend writes into the kernel */
} lower_dispatch;

struct lower_list {
    const m3_host *host;
    const lower_traits *traits;
    const m3_program *program;
    uint32_t alignment; /* of views, in bytes */
    uint32_t node;      /* that is lowered */
    lower_dispatch *dispatches;
    uint32_t count, capacity;
    uint64_t scratch_at;    /* of this node */
    uint64_t scratch_bytes; /* the largest of any node */
    unsigned char *table;   /* bytes of all tables */
    uint64_t table_bytes, table_capacity;
    m3_error error;       /* the first one; code M3_OK while all is well */
    lower_dispatch spare; /* what lower_begin gives after an error */
};

/* Free a list that program.h filled; also a zeroed one or one that failed. */
void lower_list_fini(lower_list *l);

/* Does it write parameters or states? Asked while the program is compiled. */
bool lower_writes_store(const lower_dispatch *d);

/* Writing a dispatch by position, as contract.c does, and for kernels that no contract lists. None fails: the list
 * keeps the first error. */
lower_dispatch *lower_begin(lower_list *l, const char *source, const char *entry);
void lower_constant(lower_dispatch *d, const char *name, uint64_t value);
/* The tensor's memory; NULL or no elements: LOWER_NOTHING. lower_update reads and writes. */
void lower_read(lower_dispatch *d, const m3_tensor *x);
void lower_write(lower_dispatch *d, const m3_tensor *x);
void lower_update(lower_dispatch *d, const m3_tensor *x);
void lower_bind(lower_dispatch *d, lower_view view, bool read, bool write);
void lower_u32(lower_dispatch *d, uint64_t value); /* an error when it does not fit */
void lower_i32(lower_dispatch *d, int64_t value);
void lower_f32(lower_dispatch *d, float value);

/* Geometry. lower_items: at least `items` items along x, and along y when x cannot hold them; the kernel numbers them
 * with ITEM and leaves when it is past the end. lower_rows: a group of `lanes` items for each row where lanes > 1,
 * else an item for each row; the kernel numbers rows with ROW and items within one with LANE, from constant LANES.
 * lower_groups: as said. */
void lower_items(lower_dispatch *d, uint64_t items);
void lower_rows(lower_dispatch *d, uint64_t rows, uint32_t lanes);
void lower_groups(lower_dispatch *d, uint64_t x, uint64_t y, uint64_t z, uint32_t group_x, uint32_t group_y,
                  uint32_t group_z);

/* Memory of the node's own: content is undefined, and lost after its last dispatch. */
lower_view lower_scratch(lower_list *l, uint64_t bytes);
/* Numbers that are uploaded once; copied. */
lower_view lower_table(lower_list *l, const void *data, uint64_t bytes);
/* The memory of a tensor, and of a whole segment of the program. */
lower_view lower_tensor(lower_list *l, const m3_tensor *x);
lower_view lower_segment(lower_list *l, uint32_t segment);
void lower_fail_memory(lower_list *l, uint64_t bytes);

/* Shapes. */

/* Rows and length of the last axis; a rank of 0 is one row of one. */
static inline uint64_t lower_last(const m3_tensor *x)
{
    return x->shape.rank == 0 ? 1 : x->shape.dim[x->shape.rank - 1];
}

static inline uint64_t lower_row_count(const m3_tensor *x)
{
    uint64_t rows = 1;
    for (uint32_t i = 0; i + 1 < x->shape.rank; i++) rows *= x->shape.dim[i];
    return rows;
}

/* Pieces of at most `part` that count is cut into; a part of 0 is as good as 1. */
static inline uint64_t lower_parts(uint64_t count, uint64_t part)
{
    return part == 0 ? count : (count + part - 1) / part;
}

/* Output and operands of a broadcast, with axes joined as far as all operands allow: strides are in elements, 0 where
 * an operand stands still. rank >= 1. */
enum { LOWER_MAX_OPERANDS = M3_CHAIN_MAX_INPUTS };
typedef struct lower_axes {
    uint32_t rank, operands;
    uint64_t dim[M3_MAX_RANK];
    uint64_t stride[LOWER_MAX_OPERANDS][M3_MAX_RANK];
} lower_axes;
lower_axes lower_axes_of(const m3_shape *out, const m3_shape *const *operand, uint32_t operands);

#endif
