/* program: which nodes can be lowered, and the pass over a program that lists the dispatches of its nodes. */
#ifndef LOWER_PROGRAM_H
#define LOWER_PROGRAM_H

#include "backends/lowering/lower.h"

/* Can a node be lowered for the device? Any thread. */
m3_status lower_supports(const lower_traits *traits, const m3_node *node, m3_error *why);

/* Lower every node of a program. On success list->dispatches is complete, in the order of nodes, and must be freed with
 * lower_list_fini, also after an error. */
m3_status lower_program(lower_list *l, const m3_host *host, const lower_traits *traits, const m3_program *program,
                        uint32_t alignment, m3_error *err);

#endif
