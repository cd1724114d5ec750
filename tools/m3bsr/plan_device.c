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
        d->rates = (m3_plan_rates){.size = M3_STRUCT_SIZE(m3_plan_rates, node_s),
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

/* Nodes with a shorter floor are as long as what it takes to start one, whatever they compute: their factor would say
 * nothing of a larger node. */
static const double SMALL_S = 20e-6;

typedef struct op_sum {
    const char *name; /* NULL: of all */
    double nodes, seconds, floor;
} op_sum;

static void add_node(op_sum *sum, const json_t *node)
{
    sum->nodes += 1.0;
    sum->seconds += number_of(node, "seconds");
    sum->floor += number_of(node, "floor_s");
}

/* More than there are ops: each node is looked for among them. */
enum { MOST_OPS = 1000 };

/* @return  NULL where they are too many. */
static op_sum *find_op(op_sum *sums, uint32_t *count, const char *name)
{
    for (uint32_t k = 0; k < *count; k++)
        if (strcmp(sums[k].name, name) == 0) return &sums[k];
    if (*count == MOST_OPS) return NULL;
    sums[*count].name = name;
    return &sums[(*count)++];
}

/* Beside `each` of a node. Below 1 where operands lay in a cache. */
static double factor_of(const op_sum *sum, double each)
{
    const double beside = sum->seconds - sum->nodes * each;
    return sum->floor > 0 && beside > 0 ? beside / sum->floor : 1.0;
}

/* sums: [MOST_OPS]. */
static m3_status sum_up(const char *path, const json_t *nodes, op_sum *sums, plan_device *d, m3_error *err)
{
    uint32_t count = 0;
    op_sum small = {0}, large = {0};
    for (size_t i = 0; i < json_array_size(nodes); i++) {
        const json_t *node = json_array_get(nodes, i);
        const char *name = json_string_value(json_object_get(node, "op"));
        const bool is_small = number_of(node, "floor_s") < SMALL_S;
        if (name == NULL) continue;
        add_node(is_small ? &small : &large, node);
        op_sum *sum = is_small ? NULL : find_op(sums, &count, name);
        if (!is_small && sum == NULL)
            return M3_FAIL(err, M3_ERR_INVALID, path, "names more than %d ops; m3bsr bench wrote no such file",
                           MOST_OPS);
        if (sum != NULL) add_node(sum, node);
    }
    if (small.seconds > small.floor) d->rates.node_s = (small.seconds - small.floor) / small.nodes;
    d->rates.factor = factor_of(&large, d->rates.node_s);
    for (uint32_t k = 0; k < count; k++) {
        m3_plan_op *op = &d->ops[d->op_count];
        op->factor = factor_of(&sums[k], d->rates.node_s);
        if ((op->name = strdup(sums[k].name)) == NULL) return M3_FAIL_MEMORY(err, path, strlen(sums[k].name));
        d->op_count++;
    }
    return M3_OK;
}

static m3_status take_ops(const char *path, const json_t *nodes, plan_device *d, m3_error *err)
{
    op_sum *sums = calloc(MOST_OPS, sizeof *sums);
    d->ops = calloc(MOST_OPS, sizeof *d->ops);
    const m3_status st = sums != NULL && d->ops != NULL ? sum_up(path, nodes, sums, d, err)
                                                        : M3_FAIL_MEMORY(err, path, MOST_OPS * sizeof *sums);
    free(sums);
    if (st != M3_OK) return st;
    d->rates.ops = (m3_span){.count = d->op_count, .stride = sizeof d->ops[0], .data = d->ops};
    return M3_OK;
}

static void stretch(plan_device *d, double by)
{
    d->rates.factor *= by;
    d->rates.node_s *= by;
    d->rates.run_s *= by;
    for (uint32_t i = 0; i < d->op_count; i++) d->ops[i].factor *= by;
}

static m3_status take_bench(const char *path, const json_t *root, plan_device *d, m3_error *err)
{
    const json_t *roofline = json_object_get(root, "roofline");
    const char *device = json_string_value(json_object_get(root, "device"));
    const double peak = number_of(root, "peak_gflops"), product = number_of(roofline, "product_gflops");
    const double nodes = number_of(roofline, "nodes_s"), floor = number_of(roofline, "floor_s");
    const double share = number_of(root, "host_share"), median = number_of(root, "median_s");
    d->rates = (m3_plan_rates){.size = M3_STRUCT_SIZE(m3_plan_rates, node_s),
                               .flops = 1e9 * (peak > product ? peak : product),
                               .half_flops = 1e9 * number_of(roofline, "half_gflops"),
                               .memory = 1e9 * number_of(roofline, "copy_gigabytes_per_s"),
                               .run_s = share > 0 && share < 1 ? nodes * share / (1.0 - share) : 0.0};
    if (device == NULL || !(d->rates.flops > 0) || !(d->rates.memory > 0) || !(nodes > 0) || !(floor > 0))
        return M3_FAIL(err, M3_ERR_INVALID, path,
                       "lacks the figures of a device; write it by m3bsr bench CONFIG --roofline --json >FILE");
    if (d->rates.half_flops > 0 && d->rates.half_flops < d->rates.flops) d->rates.half_flops = d->rates.flops;
    d->measured = true;
    (void)snprintf(d->name, sizeof d->name, "%s", device);
    const m3_status st = take_ops(path, json_object_get(roofline, "nodes"), d, err);
    if (st == M3_OK && median > 0) stretch(d, median / (nodes + d->rates.run_s));
    return st;
}

/* @param root  Yours, json_decref(). */
static m3_status read_file(const char *option, const char *path, const char *what, json_t **root, m3_error *err)
{
    json_error_t wrong;
    FILE *from = fopen(path, "re");
    *root = NULL;
    if (from == NULL)
        return M3_FAIL(err, errno == ENOMEM ? M3_ERR_MEMORY : M3_ERR_INVALID, option,
                       "'%s' is neither %s nor a file that can be read: %s", path, what, strerror(errno));
    errno = 0;
    *root = json_loadf(from, JSON_REJECT_DUPLICATES, &wrong);
    const bool failed = ferror(from) != 0;
    const int reason = errno;
    (void)fclose(from);
    if (reason == ENOMEM) { /* jansson may also have left something out */
        json_decref(*root);
        *root = NULL;
        return M3_FAIL_MEMORY(err, path, 0);
    }
    if (*root != NULL) return M3_OK;
    if (failed)
        return M3_FAIL(err, reason == EISDIR ? M3_ERR_INVALID : M3_ERR_IO, path, "cannot be read: %s",
                       strerror(reason));
    return M3_FAIL(err, M3_ERR_INVALID, path, "is no JSON: line %d: %s", wrong.line, wrong.text);
}

m3_status plan_device_find(const char *text, plan_device *d, m3_error *err)
{
    json_t *root = NULL;
    *d = (plan_device){0};
    if (take_peak(text, d)) return M3_OK;
    m3_status st = read_file("--device", text, "a100, h100 or h200", &root, err);
    if (st == M3_OK) st = take_bench(text, root, d, err);
    json_decref(root);
    return st;
}

m3_status plan_link_find(const char *text, double *bytes_per_s, double *latency, m3_error *err)
{
    char *end = NULL;
    json_t *root = NULL;
    *bytes_per_s = strtod(text, &end);
    if (*text != 0 && *end == 0) return M3_OK;
    m3_status st = read_file("--link", text, "a number of bytes a second", &root, err);
    if (st == M3_OK) {
        *bytes_per_s = number_of(root, "bytes_per_s");
        *latency = number_of(root, "latency_s");
        if (!(*bytes_per_s > 0))
            st = M3_FAIL(err, M3_ERR_INVALID, text,
                         "lacks the figures of a link; write it by mpirun -n 2 m3bsr bench --what link --json >FILE");
    }
    json_decref(root);
    return st;
}
