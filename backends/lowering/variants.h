/* variants: the variants to compute a node among which a measurement can choose. */
#ifndef LOWER_VARIANTS_H
#define LOWER_VARIANTS_H

#include "backends/lowering/lower.h"

enum { LOWER_MAX_VARIANTS = 24, LOWER_CLASS_BYTES = 96 };

/* Variants of a node among which traits->tuning chooses: fills class_text [LOWER_CLASS_BYTES] and names
 * [LOWER_MAX_VARIANTS], static, the default first, and says how many. 0: its op has one variant. */
uint32_t lower_variants(const lower_traits *traits, const m3_node *node, char *class_text, const char **names);

/* The variant of this name, static, or NULL when there is none. */
const char *lower_variant_named(const char *name);

#endif
