/* variants: the variants to compute a node among which a measurement can choose. */
#ifndef LOWER_VARIANTS_H
#define LOWER_VARIANTS_H

#include "backends/lowering/lower.h"

enum { LOWER_MAX_VARIANTS = 24, LOWER_CLASS_BYTES = 96 };

/* Variants of a node among which traits->tuning chooses: fills class_text [LOWER_CLASS_BYTES] and names
 * [LOWER_MAX_VARIANTS], static, the default first, and says how many. 0: its op has one variant. */
uint32_t lower_variants(const lower_traits *traits, const m3_node *node, char *class_text, const char **names);

/* One of the names, of which there is at least one: what the traits demand, else what was measured, else the first. */
const char *lower_chosen(const lower_traits *traits, const char *class_text, const char *const *names, uint32_t count);

/* The variant of this name, static, or NULL when there is none. */
const char *lower_variant_named(const char *name);

/* An extent as it stands in a class: the nearest power of two. */
unsigned long long lower_class_extent(uint64_t x);

#endif
