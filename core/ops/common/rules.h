/* rules: checks that shape rules share. Nodes come from plugins too, so a rule trusts neither types nor attributes;
 * the builder has checked only that there are between min_inputs and max_inputs inputs and that the first min_inputs
 * are not NULL. Every check writes a message with both values. */
#ifndef M3_CORE_OPS_COMMON_RULES_H
#define M3_CORE_OPS_COMMON_RULES_H

#include "core/ops/common/op.h"

/** Sets of types. */
enum {
    M3_TYPES_FLOAT = 1u << M3_F32 | 1u << M3_F64,
    M3_TYPES_HALF = 1u << M3_F16 | 1u << M3_BF16,
    M3_TYPES_INTEGER = 1u << M3_I32 | 1u << M3_U32,
    M3_TYPES_NUMBER = M3_TYPES_FLOAT | M3_TYPES_INTEGER,
    M3_TYPES_BOOL = 1u << M3_BOOL,
    M3_TYPES_I32 = 1u << M3_I32,
    M3_TYPES_ANY = (1u << (M3_F64 + 1)) - 1
};

/** Is the type of input i in the set? */
m3_status m3_check_type(const m3_node *node, uint32_t i, uint32_t types, m3_error *err);
/** Have inputs 0 and i the same type? */
m3_status m3_check_same_type(const m3_node *node, uint32_t i, m3_error *err);
/** Is the rank of input i within [min, max]? */
m3_status m3_check_rank(const m3_node *node, uint32_t i, uint32_t min, uint32_t max, m3_error *err);
/** Is integer attribute a within [min, max]? */
m3_status m3_check_attr(const m3_node *node, uint32_t a, int64_t min, int64_t max, m3_error *err);
/** Attribute a as a shape: rank at most M3_MAX_RANK, no negative extent, a count that m3_check_count allows. */
m3_status m3_check_attr_shape(const m3_node *node, uint32_t a, m3_shape *shape, m3_error *err);
/** Has a shape that a rule made fewer than 2^48 elements? Keeps every count and byte size within 64 bits. */
m3_status m3_check_count(const m3_node *node, const m3_shape *shape, m3_error *err);

/** NumPy's rule for two shapes; false when they do not fit. */
bool m3_shape_merge(const m3_shape *a, const m3_shape *b, m3_shape *out);

/** One output of the type and shape of input 0, which is in `types`. */
m3_status m3_infer_unary(const m3_node *node, uint32_t types, m3_tensor_desc *out, m3_error *err);
/** Two inputs of one type out of `types`; the output has that type and the merged shape. */
m3_status m3_infer_binary(const m3_node *node, uint32_t types, m3_tensor_desc *out, m3_error *err);
/** As m3_infer_binary, with a bool output. */
m3_status m3_infer_compare(const m3_node *node, uint32_t types, m3_tensor_desc *out, m3_error *err);

/** flops of ops that only move elements. */
uint64_t m3_flops_none(const m3_node *node);
/** flops of reductions: one per element of input 0. */
uint64_t m3_flops_input(const m3_node *node);

#endif
