/* plan_device: what a device reaches, for `m3bsr plan --device`: by name, a vendor's peaks, or from a file that
 * `m3bsr bench --roofline --json` wrote. */
#ifndef M3_TOOLS_PLAN_DEVICE_H
#define M3_TOOLS_PLAN_DEVICE_H

#include "m3bsr/plan.h"
#include "tools/m3bsr/cli.h"

/** Starts as {0}, ends with plan_device_free(). */
typedef struct plan_device {
    m3_plan_rates rates;
    char name[96];   /**< for people */
    uint64_t memory; /**< bytes that it has; 0: unknown */
    bool measured;   /**< else peaks */
    m3_plan_op *ops; /**< with names of their own */
    uint32_t op_count;
} plan_device;

/** @param text  A name ("h200") or a path. M3_ERR_INVALID says which names there are, and what a file lacks. */
m3_status plan_device_find(const char *text, plan_device *device, m3_error *err);
void plan_device_free(plan_device *device);

/** What ranks reach between them: a number of bytes a second, or a file that `m3bsr bench --what link --json` wrote.
 * @param latency  Of the file; as it is for a number. */
m3_status plan_link_find(const char *text, double *bytes_per_s, double *latency, m3_error *err);

#endif
