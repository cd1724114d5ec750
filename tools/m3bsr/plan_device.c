/* plan_device: see the header. Of a file, an op takes as many times its floor as its nodes took in sum, and a run
 * beside them the share of its time that was spent outside of nodes. */
#include "tools/m3bsr/plan_device.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

/* Peaks as their vendor states them; m3bsr(1) names the documents. Products of ours use no tensor cores, so 16-bit
 * operands count as f32. */
static const struct peak {
    const char *name, *whole;
    double flops, memory, bus; /* bus: one direction */
    uint64_t bytes;
} peaks[] = {
    {"a100", "NVIDIA A100 80GB SXM", 19.5e12, 2.039e12, 32e9, 80000000000},
    {"h100", "NVIDIA H100 SXM", 67e12, 3.35e12, 64e9, 80000000000},
    {"h200", "NVIDIA H200 SXM", 67e12, 4.8e12, 64e9, 141000000000},
};
enum { PEAKS = sizeof peaks / sizeof peaks[0] };

void plan_device_free(plan_device *d)
{
    for (uint32_t i = 0; i < d->op_count; i++) free((void *)d->ops[i].name);
    free(d->ops);
    *d = (plan_device){0};
}

static bool take_peak(const char *text, plan_device *d)
{
    for (size_t i = 0; i < PEAKS; i++) {
        const struct peak *p = &peaks[i];
        if (strcmp(p->name, text) != 0) continue;
        d->rates = (m3_plan_rates){.size = M3_STRUCT_SIZE(m3_plan_rates, run_s),
                                   .flops = p->flops,
                                   .memory = p->memory,
                                   .bus = p->bus,
                                   .factor = 1.0};
        d->memory = p->bytes;
        (void)snprintf(d->name, sizeof d->name, "%s", p->whole);
        return true;
    }
    return false;
}

/* A file. */

static double number_of(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key)); /* 0 where it is not there */
}

typedef struct op_sum {
    const char *name;
    double seconds, floor;
} op_sum;

static void add_node(op_sum *sums, uint32_t *count, const json_t *node)
{
    const char *name = json_string_value(json_object_get(node, "op"));
    uint32_t k = 0;
    if (name == NULL) return;
    while (k < *count && strcmp(sums[k].name, name) != 0) k++;
    if (k == *count) sums[(*count)++] = (op_sum){.name = name};
    sums[k].seconds += number_of(node, "seconds");
    sums[k].floor += number_of(node, "floor_s");
}

static m3_status take_ops(const json_t *nodes, plan_device *d, m3_error *err)
{
    uint32_t count = 0;
    const size_t most = json_array_size(nodes);
    op_sum *sums = calloc(most + 1, sizeof *sums);
    d->ops = calloc(most + 1, sizeof *d->ops);
    bool whole = sums != NULL && d->ops != NULL;
    for (size_t i = 0; whole && i < most; i++) add_node(sums, &count, json_array_get(nodes, i));
    for (uint32_t k = 0; whole && k < count; k++) {
        if (!(sums[k].floor > 0) || !(sums[k].seconds > 0)) continue;
        m3_plan_op *op = &d->ops[d->op_count];
        op->factor = sums[k].seconds / sums[k].floor;
        whole = (op->name = strdup(sums[k].name)) != NULL;
        d->op_count += whole;
    }
    free(sums);
    if (!whole) return M3_FAIL_MEMORY(err, "plan", (most + 1) * sizeof *sums);
    d->rates.ops = (m3_span){.count = d->op_count, .stride = sizeof d->ops[0], .data = d->ops};
    return M3_OK;
}

static m3_status take_bench(const char *path, const json_t *root, plan_device *d, m3_error *err)
{
    const json_t *roofline = json_object_get(root, "roofline");
    const char *device = json_string_value(json_object_get(root, "device"));
    const double peak = number_of(root, "peak_gflops"), product = number_of(roofline, "product_gflops");
    const double nodes = number_of(roofline, "nodes_s"), floor = number_of(roofline, "floor_s");
    const double share = number_of(root, "host_share");
    d->rates = (m3_plan_rates){.size = M3_STRUCT_SIZE(m3_plan_rates, run_s),
                               .flops = 1e9 * (peak > product ? peak : product),
                               .half_flops = 1e9 * number_of(roofline, "half_gflops"),
                               .memory = 1e9 * number_of(roofline, "copy_gigabytes_per_s"),
                               .run_s = share > 0 && share < 1 ? nodes * share / (1.0 - share) : 0.0};
    if (device == NULL || !(d->rates.flops > 0) || !(d->rates.memory > 0) || !(nodes > 0) || !(floor > 0))
        return M3_FAIL(err, M3_ERR_INVALID, path,
                       "lacks the figures of a device; write it by m3bsr bench CONFIG --roofline --json >FILE");
    if (d->rates.half_flops > 0 && d->rates.half_flops < d->rates.flops) d->rates.half_flops = d->rates.flops;
    d->rates.factor = nodes / floor;
    d->measured = true;
    (void)snprintf(d->name, sizeof d->name, "%s", device);
    return take_ops(json_object_get(roofline, "nodes"), d, err);
}

m3_status plan_device_find(const char *text, plan_device *d, m3_error *err)
{
    json_error_t wrong;
    *d = (plan_device){0};
    if (take_peak(text, d)) return M3_OK;
    FILE *from = fopen(text, "r");
    if (from == NULL)
        return M3_FAIL(err, M3_ERR_INVALID, "--device",
                       "'%s' is neither a100, h100 or h200 nor a file that can be read (%s); a file comes from m3bsr "
                       "bench CONFIG --roofline --json",
                       text, strerror(errno));
    json_t *root = json_loadf(from, JSON_REJECT_DUPLICATES, &wrong);
    (void)fclose(from);
    const m3_status st = root != NULL
                             ? take_bench(text, root, d, err)
                             : M3_FAIL(err, M3_ERR_INVALID, text, "is no JSON: line %d: %s", wrong.line, wrong.text);
    json_decref(root);
    return st;
}
