/* plugin: what plugins over this folder share beside lowering: values of device options. */
#ifndef LOWER_PLUGIN_H
#define LOWER_PLUGIN_H

#include "m3bsr/backend.h"

/* Options that every such backend has, as elements of its table. */
#define LOWER_OPTIONS                                                                                                  \
    M3_DESCRIBE_BOOL("tune", "false", "measure which kernels are faster while compiling, as `m3bsr tune` does"),       \
        M3_DESCRIBE_TEXT("variant", "", "compute so where it can be done, by a name in the file of tuning"),           \
        M3_DESCRIBE_TEXT("refuse", "", "ops that the device says no to, joined by +"),                                 \
        M3_DESCRIBE_INT("fail_after", 0, 0x1p63, "", "the device is lost after so many submits"),                      \
        M3_DESCRIBE_TEXT("keep", "", "folder to which every kernel is written as its compiler gets it")

/* Option variant: how nodes are computed (variants.h), NULL when it was not given. */
m3_status lower_read_variant(m3_span options, const char **variant, m3_error *err);
/* Option refuse: a copy that the host's release frees, or NULL. */
m3_status lower_read_refused(const m3_host *host, m3_span options, char **refused, m3_error *err);
/* Option keep (keep.h): a copy that the host's release frees, or NULL. The folder is made where it is not there. */
m3_status lower_read_keep(const m3_host *host, m3_span options, char **folder, m3_error *err);

#endif
