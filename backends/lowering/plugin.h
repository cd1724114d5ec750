/* plugin: what plugins over this folder share beside lowering: values of device options, uses of buffers, and
 * kernels of custom ops. */
#ifndef LOWER_PLUGIN_H
#define LOWER_PLUGIN_H

#include "m3bsr/backend.h"

/* Options that every such backend has, as elements of its table. */
#define LOWER_OPTIONS                                                                                                  \
    M3_DESCRIBE_BOOL("tune", "false", "measure which kernels are faster while compiling, as `m3bsr tune` does"),       \
        M3_DESCRIBE_BOOL("cache", "true", "keep compiled kernels on disk"),                                            \
        M3_DESCRIBE_TEXT("variant", "", "compute products so where it can be done, by a name in the file of tuning"),  \
        M3_DESCRIBE_TEXT("refuse", "", "ops that the device says no to, joined by +"),                                 \
        M3_DESCRIBE_INT("fail_after", 0, 0x1p63, "", "the device is lost after so many submits")

/* Option variant: how products are computed (tuning.h), NULL when it was not given. */
m3_status lower_read_variant(m3_span options, const char **variant, m3_error *err);
/* Option refuse: a copy that the host's release frees, or NULL. */
m3_status lower_read_refused(const m3_host *host, m3_span options, char **refused, m3_error *err);
/* Is the name one of a list joined by '+'? list may be NULL. */
bool lower_listed(const char *list, const char *name);

/* Is [offset, offset + count) inside a buffer of so many bytes, and was it made for this use (M3_BUFFER_*)? */
m3_status lower_check_use(uint32_t usage, uint64_t bytes, uint32_t use, const char *what, uint64_t offset,
                          uint64_t count, m3_error *err);

/* The kernel that a node's op brings in a language, or NULL. */
const m3_kernel_desc *lower_kernel_in(const m3_node *node, const char *language);

#endif
