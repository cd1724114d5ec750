/* dump: what a compiled executable is, in numbers and as the table of `m3bsr graph`. */
#include <stdlib.h>
#include <string.h>

#include "core/runtime/executable.h"

void m3_executable_get_stats(const m3_executable *executable, m3_executable_stats *stats)
{
    const m3_schedule *s = &executable->schedule;
    const m3_plan *plan = &executable->targets[0].plan;
    m3_executable_stats all = {.size = M3_STRUCT_SIZE(m3_executable_stats, written_bytes)};
    all.nodes = s->step_count;
    for (uint32_t i = 0; i < s->step_count; i++) {
        uint64_t written = 0;
        all.read_bytes += m3_node_traffic(s->steps[i].node, &written) - written;
        all.written_bytes += written;
        all.flops += m3_node_flops(s->steps[i].node);
        if (s->steps[i].device != 0) all.fallback_nodes++;
    }
    for (uint32_t i = 0; i < executable->device_count; i++) {
        all.scratch_bytes += executable->targets[i].plan.scratch_bytes;
        all.constant_bytes += executable->targets[i].plan.constant_bytes;
    }
    all.store_bytes = m3_store_bytes(executable->store);
    all.input_bytes = plan->input_bytes;
    all.output_bytes = plan->output_bytes;
    m3_copy_out(stats, &all, stats->size, all.size);
}

const m3_graph *m3_executable_graph(const m3_executable *executable)
{
    return executable->graph;
}

uint32_t m3_executable_node_count(const m3_executable *executable)
{
    return executable->schedule.step_count;
}

void m3_executable_node_at(const m3_executable *executable, uint32_t index, m3_executable_node *node)
{
    const m3_step *step = &executable->schedule.steps[index];
    m3_executable_node all = {.size = M3_STRUCT_SIZE(m3_executable_node, time_ns)};
    all.node = step->node;
    all.device = executable->devices[step->device]->name;
    all.reason = step->reason != NULL ? step->reason : "";
    all.places = executable->targets[step->device].plan.places;
    all.time_ns = executable->times[index];
    m3_copy_out(node, &all, node->size, all.size);
}

static const char *place_text(const m3_plan *plan, const m3_tensor *x, char *text, size_t bytes)
{
    static const char *const roles[] = {"input", "output", "constant", "store", "scratch"};
    const m3_place *place = &plan->places[x->id];
    if (place->segment == M3_NO_SEGMENT) return "-";
    const m3_segment_role role = plan->segments[place->segment].role;
    const uint32_t first[] = {plan->input, plan->output, plan->constant, plan->store, plan->scratch};
    (void)snprintf(text, bytes, "%s%u+%llu", roles[role], place->segment - first[role],
                   (unsigned long long)place->offset);
    return text;
}

static void dump_step(const m3_executable *e, uint32_t index, FILE *to)
{
    const m3_step *step = &e->schedule.steps[index];
    const m3_node *node = step->node;
    const m3_plan *plan = &e->targets[step->device].plan;
    for (uint32_t j = 0; j < node->out_count; j++) {
        const m3_tensor *y = node->out[j];
        char place[64], shape[128];
        (void)fprintf(to, "%5u  %%%-5u %-4s %-22s ", index, y->id, m3_dtype_name(y->dtype),
                      m3_shape_text(&y->shape, shape, sizeof shape));
        (void)fprintf(to, "%-22s %-26s ", j == 0 ? node->op->name : "", node->scope);
        (void)fprintf(to, "%14llu %12llu  %-22s %s", j == 0 ? (unsigned long long)m3_node_flops(node) : 0ull,
                      (unsigned long long)m3_tensor_bytes(y), place_text(plan, y, place, sizeof place),
                      e->devices[step->device]->name);
        (void)fprintf(to, "%s%s\n", step->reason != NULL ? "  because: " : "",
                      step->reason != NULL ? step->reason : "");
    }
}

static void dump_transfers(const m3_executable *e, const m3_partition *partition, FILE *to)
{
    for (uint32_t i = partition->transfer; i < partition->transfer + partition->transfer_count; i++) {
        const m3_transfer *t = &e->schedule.transfers[i];
        (void)fprintf(to, "       %%%-5u %llu bytes from %s to %s\n", t->tensor->id,
                      (unsigned long long)m3_tensor_bytes(t->tensor),
                      t->from == M3_NONE ? "the inputs" : e->devices[t->from]->name, e->devices[t->to]->name);
    }
}

/* What a run of each partition consists of, where its backend describes it. */
static void dump_programs(const m3_executable *e, FILE *to)
{
    for (uint32_t i = 0; i < e->schedule.partition_count; i++) {
        const m3_device *device = e->devices[e->schedule.partitions[i].device];
        char text[256] = {0};
        if (device->api->describe == NULL) continue;
        device->api->describe(device->impl, e->execs[i], text, sizeof text);
        (void)fprintf(to, "%s: a run of %u nodes: %s\n", device->name, e->schedule.partitions[i].count, text);
    }
}

/* Operations and memory traffic by op. */

enum { OPS = 128 }; /* more kinds in one graph are summed as others */

typedef struct op_sums {
    const char *name;
    uint32_t nodes;
    uint64_t flops, read, written;
} op_sums;

static int by_traffic(const void *a, const void *b)
{
    const op_sums *x = a, *y = b;
    const uint64_t of_x = x->read + x->written, of_y = y->read + y->written;
    return of_x > of_y ? -1 : of_x < of_y;
}

static void dump_ops(const m3_schedule *s, const m3_executable_stats *all, FILE *to)
{
    op_sums ops[OPS];
    uint32_t count = 0;
    for (uint32_t i = 0; i < s->step_count; i++) {
        const m3_node *node = s->steps[i].node;
        uint32_t k = 0;
        while (k < count && strcmp(ops[k].name, node->op->name) != 0) k++;
        if (k == OPS) ops[--k].name = "others";
        if (k == count) ops[count++] = (op_sums){.name = node->op->name};
        uint64_t written = 0;
        ops[k].read += m3_node_traffic(node, &written) - written;
        ops[k].written += written;
        ops[k].flops += m3_node_flops(node);
        ops[k].nodes++;
    }
    qsort(ops, count, sizeof ops[0], by_traffic);
    (void)fprintf(to, "%-22s %6s %14s %14s %14s\n", "op", "nodes", "FLOP", "bytes read", "bytes written");
    for (uint32_t k = 0; k < count; k++)
        (void)fprintf(to, "%-22s %6u %14llu %14llu %14llu\n", ops[k].name, ops[k].nodes,
                      (unsigned long long)ops[k].flops, (unsigned long long)ops[k].read,
                      (unsigned long long)ops[k].written);
    (void)fprintf(to, "%-22s %6u %14llu %14llu %14llu\n", "all", all->nodes, (unsigned long long)all->flops,
                  (unsigned long long)all->read_bytes, (unsigned long long)all->written_bytes);
}

void m3_executable_dump(const m3_executable *executable, FILE *to)
{
    const m3_executable *e = executable;
    const m3_schedule *s = &e->schedule;
    m3_executable_stats stats = {.size = M3_STRUCT_SIZE(m3_executable_stats, written_bytes)};
    m3_executable_get_stats(e, &stats);
    (void)fprintf(to, "%s on %s: %u nodes (%u on other devices), %llu FLOP\n", e->name, e->devices[0]->name,
                  stats.nodes, stats.fallback_nodes, (unsigned long long)stats.flops);
    (void)fprintf(to, "%5s  %-6s %-4s %-22s %-22s %-26s %14s %12s  %-22s %s\n", "step", "tensor", "type", "shape", "op",
                  "scope", "FLOP", "bytes", "place", "device");
    for (uint32_t i = 0; i < s->partition_count; i++) {
        dump_transfers(e, &s->partitions[i], to);
        for (uint32_t k = 0; k < s->partitions[i].count; k++) dump_step(e, s->partitions[i].first + k, to);
    }
    for (uint32_t i = 0; i < e->device_count; i++) {
        const m3_plan *plan = &e->targets[i].plan;
        (void)fprintf(to, "%s: peak of temporaries %llu bytes in %u segments (alive at once: %llu)\n",
                      e->devices[i]->name, (unsigned long long)plan->scratch_bytes, plan->scratch_count,
                      (unsigned long long)plan->alive_bytes);
    }
    dump_ops(s, &stats, to);
    dump_programs(e, to);
    const unsigned long long read = stats.read_bytes, written = stats.written_bytes;
    (void)fprintf(to, "memory traffic of a run: %llu bytes, %llu read and %llu written\n", read + written, read,
                  written);
    (void)fprintf(to, "inputs %llu, outputs %llu, constants %llu, parameters and states %llu bytes\n",
                  (unsigned long long)stats.input_bytes, (unsigned long long)stats.output_bytes,
                  (unsigned long long)stats.constant_bytes, (unsigned long long)stats.store_bytes);
}
