/* across: how the items of a group join a value of each: through shared memory, or by exchange within subgroups.
 *
 * Both are variants of a node, which tuning.h measures:
 *   shared      through shared memory, on every device
 *   subgroups   on a GPU with subgroups of a known size whose items exchange values (lower_subgroups)
 * Without a measurement they exchange where one subgroup is the whole group, since then nothing is shared and nobody
 * waits. Everywhere else the default is shared. */
#ifndef LOWER_ACROSS_H
#define LOWER_ACROSS_H

#include "backends/lowering/lower.h"

/* The constant SUBGROUP (shaders/contract/types.h) of a kernel of the node that is lowered, whose groups have so many
 * items. */
uint32_t lower_across(const lower_list *l, uint32_t lanes);

/* The variants of such a node, see variants.h; 0 where its items can only share. */
uint32_t lower_across_variants(const lower_traits *traits, const m3_node *node, uint32_t lanes, char *class_text,
                               const char **names);
const char *lower_across_variant(const char *name); /* that name, static, or NULL when it is none of them */

#endif
