/* rules: cases that follow from what an op is, beside the lines that people chose (rows_*.c). Each op has one entry:
 * how its cases are made, how exact it must be, and why a rule has no meaning for it. What the op says of itself
 * (include/m3bsr/op.h: types, attributes, numbers of inputs) is asked, not repeated.
 *
 *   rank       every rank that the op admits
 *   axis       every axis at every rank: axis attributes, and axes along which an operand repeats
 *   square     extents that are alike, with other values, where operands or axes could be exchanged unnoticed
 *   attribute  every attribute at values that differ visibly
 *   optional   every combination of optional inputs
 *   count      one, two, three and many inputs
 *   dtype      every type that the op admits
 *   size       0, 1, odd, and around tiles of 8, 16, 32, 64 and 128
 *   large      beyond 2^10, 2^16 and 2^20: what kernels count in groups, parts and passes
 *   integers   beyond 2^24, and both ends of the type
 *   special    NaN, infinities, denormals, negative zero, large means */
#ifndef M3_CORE_CONFORMANCE_RULES_H
#define M3_CORE_CONFORMANCE_RULES_H

#include "core/conformance/cases.h"

/** What rounding in a fixed order may add to an op's bound, derived from the case (run.c). */
typedef enum m3_room {
    M3_ROOM_NONE = 0,
    M3_ROOM_SUM = 1,   /**< growth(terms) u times the sum of the summands' sizes: the op on absolute values; nothing
                        * where all are whole numbers ("small") that f32 adds exactly */
    M3_ROOM_SHAKEN = 2 /**< growth(terms) times the largest change when each input changes by u of itself */
} m3_room;

typedef struct m3_case_maker m3_case_maker;
typedef struct m3_op_rules m3_op_rules;

struct m3_op_rules {
    const char *op;
    void (*make)(m3_case_maker *m, const m3_op_rules *of);
    const m3_bound *bound;
    m3_room room;
    uint64_t (*terms)(const m3_node *node); /**< that are summed for an element; NULL: one */
    bool keeps_zeros;                       /**< the sign of a zero is part of the answer */
    bool keeps_bits;                        /**< moves elements: a denormal stays what it is on every device */
    bool kinks; /**< without gradients by these rules: difference quotients would meet ends and kinks */
    const char *probe, *probe_attrs; /**< the smallest inputs and attributes, ? for the type that varies; NULL: none */
    const char *fill;                /**< words for inputs within the op's domain, with a blank before; NULL: none */
    const char *fill_first;          /**< the same for the first of two inputs, where fill is the last one's */
    const char *never[M3_RULES];     /**< why a rule has no meaning; those that the op itself tells are NULL here */
};

/** The entry of an op; NULL: custom, or forgotten. */
const m3_op_rules *m3_op_rules_find(const char *op);
/** Why a rule has no meaning for a built-in op, or NULL when it must have cases. */
const char *m3_rule_never(const m3_op *op, m3_rule rule);

/* For what makes cases. */

struct m3_case_maker {
    const m3_op_rules *of;
    const m3_op *op;
    m3_rule rule;
    uint32_t layers;
    bool full;      /**< what is made now is for the full list alone */
    bool overflows; /**< a text did not fit: what is made from then on means nothing */
    char *text;     /**< where the next text goes, until `text_end` */
    const char *text_end;
    void (*take)(m3_case_maker *m, const char *attrs, const char *inputs);
};

/** Begin a rule: layer ops, in the quick list. */
void m3_make_rule(m3_case_maker *m, m3_rule rule);
/** The same with gradients, if the op has one. */
void m3_make_rule_gradients(m3_case_maker *m, m3_rule rule);
/** Add a case. */
void m3_make(m3_case_maker *m, const char *attrs, const char *inputs);
/** Add a case in f16 and in bf16: `inputs`, with them in the place of f32 where the op takes them (m3_op.halves). */
void m3_make_halves(m3_case_maker *m, const char *attrs, const char *inputs);
/** Text that lasts until the op has its cases. */
M3_PRINTF(2, 3)
const char *m3_make_text(m3_case_maker *m, const char *format, ...);
/** "[2,3]" and, for attributes, "2,3". */
const char *m3_make_shape(m3_case_maker *m, m3_shape shape);
const char *m3_make_ints(m3_case_maker *m, m3_shape shape);
/** Small extents, most of them different, for a rank. */
m3_shape m3_make_extents(uint32_t rank);
/** Does the op admit this type for input 0 (and the others that go with it)? */
bool m3_make_admits(const m3_case_maker *m, m3_dtype dtype);
/** The first type that it admits: f32, or what takes its place. */
m3_dtype m3_make_first(const m3_case_maker *m);

/** Extents of rule size: 0, 1, odd, tile - 1, tile, tile + 1. */
extern const uint32_t m3_make_sizes[];
extern const uint32_t m3_make_size_count;
/** Words of rule special, each with a blank before. */
extern const char *const m3_make_special[];
extern const uint32_t m3_make_special_count;
/** Of these the ones that products and sums of squares take: nothing that overflows in f32 alone. */
extern const uint32_t m3_make_special_modest;

/* The makers, by families; each file ends with its table. */
extern const m3_op_rules m3_rules_elementwise[], m3_rules_movement[], m3_rules_rows[], m3_rules_sequence[],
    m3_rules_products[], m3_rules_fused[], m3_rules_chain[];

#endif
