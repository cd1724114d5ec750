/* order: which cases of the list take part, in the order of dependence. An op is tried before the ops that decompose
 * into it, and first of all come the products by which m3_case_build makes temporaries, and the
 * copies that bring an input to an output: when `add` is wrong, its own
 * cases say so before those of what is built from it. */
#ifndef M3_CORE_CONFORMANCE_ORDER_H
#define M3_CORE_CONFORMANCE_ORDER_H

#include "core/conformance/cases.h"

typedef struct m3_case_order {
    uint32_t *index; /**< into the list */
    uint32_t count;
} m3_case_order;

/** @param layer    M3_CASE_OPS or M3_CASE_GRADIENTS: only cases that have a part there.
 * @param lookup   Custom ops, or NULL.
 * @param pattern  As m3_case_matches(); NULL: all. A name without * and ? is looked for in the full list.
 * @param full     Of the full list, not the quick one.
 * Ends with m3_case_order_fini(), after a failure too. */
m3_status m3_case_order_make(m3_case_order *order, uint32_t layer, const m3_op_lookup *lookup, const char *pattern,
                             bool full, m3_error *err);
void m3_case_order_fini(m3_case_order *order);

#endif
