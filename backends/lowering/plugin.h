/* plugin: what plugins over this folder share beside lowering: values of device options, uses of buffers, and
 * kernels of custom ops. */
#ifndef LOWER_PLUGIN_H
#define LOWER_PLUGIN_H

#include "m3bsr/backend.h"

/* A whole number from least to most. */
m3_status lower_set_number(const m3_option *option, uint64_t least, uint64_t most, uint64_t *value, m3_error *err);
/* on (yes) or off (no). */
m3_status lower_set_switch(const m3_option *option, bool *on, m3_error *err);
/* A copy that takes the place of *text; the host's release frees it. */
m3_status lower_set_text(const m3_host *host, const m3_option *option, char **text, m3_error *err);
/* A way to compute products (tuning.h). */
m3_status lower_set_way(const m3_option *option, const char **way, m3_error *err);
/* Is the name one of a list joined by '+'? list may be NULL. */
bool lower_listed(const char *list, const char *name);

/* Is [offset, offset + count) inside a buffer of so many bytes, and was it made for this use (M3_BUFFER_*)? */
m3_status lower_check_use(uint32_t usage, uint64_t bytes, uint32_t use, const char *what, uint64_t offset,
                          uint64_t count, m3_error *err);

/* The kernel that a node's op brings in a language, or NULL. */
const m3_kernel_desc *lower_kernel_in(const m3_node *node, const char *language);

#endif
