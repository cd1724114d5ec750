/* plan: lifetimes of temporaries on one device, in-place reuse, and the segments.
 *   A temporary lives from the step that makes it or its first part (or the transfer that brings it) to the last step
 *   that reads it or anything that shares its memory. Transfers happen before the first step of their partition.
 * An output of a step takes over the block of an input that dies there, when the op works in place. */
#include "core/runtime/plan.h"

#include <string.h>

#include "core/base/alloc.h"
#include "core/runtime/place.h"

typedef struct planner {
    m3_plan *plan;
    const m3_schedule *s;
    uint32_t device;
    uint64_t alignment, spacing;
    uint64_t cap;    /* the largest size of a segment, in bytes */
    uint32_t *last;  /* by root: the last step that reads it, or M3_NONE */
    uint32_t *block; /* by root: its block, or M3_NONE */
    m3_block *blocks;
    m3_block **scratch; /* those of blocks that are to be placed */
    uint32_t block_count, scratch_count;
} planner;

static uint64_t aligned(const planner *p, uint64_t bytes)
{
    if (bytes > 0) bytes += p->spacing;
    return (bytes + p->alignment - 1) / p->alignment * p->alignment;
}

static const m3_tensor *tensor_at(const planner *p, uint32_t id)
{
    return m3_graph_tensor(p->s->graph, id);
}

/* Lifetimes. */

static void collect_reads(planner *p)
{
    const m3_schedule *s = p->s;
    for (uint32_t k = 0; k < s->partition_count; k++) {
        const m3_partition *partition = &s->partitions[k];
        for (uint32_t i = partition->transfer; i < partition->transfer + partition->transfer_count; i++)
            if (s->transfers[i].from == p->device) p->last[s->root[s->transfers[i].tensor->id]] = partition->first;
        for (uint32_t i = partition->first; partition->device == p->device && i < partition->first + partition->count;
             i++) {
            const m3_node *node = s->steps[i].node;
            for (uint32_t j = 0; j < node->in_count; j++)
                if (node->in[j] != NULL) p->last[m3_schedule_root(s, node->in[j], p->device)] = i;
        }
    }
}

static void extend(const planner *p, m3_block *block, const m3_tensor *x, bool output)
{
    const uint32_t last = p->last[x->id];
    if (last != M3_NONE && last > block->last) block->last = last;
    if (output) {
        block->last = p->s->step_count;
        block->output = true;
    }
}

static void new_block(planner *p, const m3_tensor *x, uint32_t first, bool output)
{
    p->block[x->id] = p->block_count;
    m3_block *block = &p->blocks[p->block_count++];
    *block = (m3_block){.bytes = aligned(p, m3_tensor_bytes(x)), .first = first, .last = first, .claimed = M3_NONE};
    extend(p, block, x, output);
}

/* The block of an input that output `out` of this step may take over, or M3_NONE. */
static uint32_t find_in_place(const planner *p, uint32_t step, const m3_node *node, uint32_t out)
{
    const m3_tensor *y = node->out[out];
    for (uint32_t i = 0; i < node->in_count; i++) {
        if (node->in[i] == NULL) continue;
        const uint32_t root = m3_schedule_root(p->s, node->in[i], p->device), index = p->block[root];
        if (index == M3_NONE) continue;
        const m3_block *block = &p->blocks[index];
        if (block->output || block->last != step || block->claimed == step) continue;
        if (m3_tensor_bytes(tensor_at(p, root)) != m3_tensor_bytes(y) || block->bytes == 0) continue;
        if (m3_schedule_in_place(p->s, node, p->device, out, root)) return index;
    }
    return M3_NONE;
}

static void make_outputs(planner *p, uint32_t step)
{
    const m3_node *node = p->s->steps[step].node;
    for (uint32_t j = 0; j < node->out_count; j++) {
        const m3_tensor *y = tensor_at(p, p->s->root[node->out[j]->id]); /* of which it may be a part */
        if (p->s->into[y->id] != M3_NONE) continue;                      /* made in the place of a state */
        const bool output = p->s->output[y->id];
        if (p->block[y->id] != M3_NONE) { /* for a part that was made before; nobody needs to read it */
            m3_block *block = &p->blocks[p->block[y->id]];
            if (block->last < step) block->last = step;
            continue;
        }
        const uint32_t index = y == node->out[j] ? find_in_place(p, step, node, j) : M3_NONE;
        if (index == M3_NONE) {
            new_block(p, y, step, output);
            continue;
        }
        p->block[y->id] = index;
        p->blocks[index].claimed = step;
        extend(p, &p->blocks[index], y, output);
    }
}

static void make_blocks(planner *p)
{
    const m3_schedule *s = p->s;
    for (uint32_t k = 0; k < s->partition_count; k++) {
        const m3_partition *partition = &s->partitions[k];
        for (uint32_t i = partition->transfer; i < partition->transfer + partition->transfer_count; i++)
            if (s->transfers[i].to == p->device) new_block(p, s->transfers[i].tensor, partition->first, false);
        for (uint32_t i = partition->first; partition->device == p->device && i < partition->first + partition->count;
             i++)
            make_outputs(p, i);
    }
}

/* Segments. */

static m3_status check_fits(const planner *p, const char *what, uint64_t bytes, m3_error *err)
{
    if (bytes <= p->cap) return M3_OK;
    return M3_FAIL(
        err, M3_ERR_UNSUPPORTED, p->s->devices[p->device]->name,
        "%s needs %llu bytes in one piece, the largest buffer of %s has %llu; use a smaller batch or another "
        "device",
        what, (unsigned long long)bytes, p->s->devices[p->device]->name, (unsigned long long)p->cap);
}

static uint32_t add_segment(planner *p, m3_segment_role role, uint64_t bytes)
{
    const uint64_t min = p->alignment; /* a buffer has at least one byte */
    p->plan->segments[p->plan->segment_count] = (m3_segment){role, bytes > min ? bytes : min};
    return p->plan->segment_count++;
}

static m3_status place_inputs(planner *p, m3_error *err)
{
    uint64_t at = 0;
    uint32_t count = 0;
    for (uint32_t i = 0; i < p->s->tensor_count && p->device == 0; i++) {
        const m3_tensor *x = tensor_at(p, i);
        if (x->kind != M3_INPUT) continue;
        p->plan->places[i] = (m3_place){p->plan->segment_count, at};
        at += aligned(p, m3_tensor_bytes(x));
        count++;
    }
    p->plan->input_bytes = at;
    p->plan->input = count > 0 ? add_segment(p, M3_SEGMENT_INPUT, at) : M3_NO_SEGMENT;
    return check_fits(p, "the block of inputs", at, err);
}

static m3_status place_outputs(planner *p, m3_error *err)
{
    uint64_t at = 0;
    uint32_t count = 0;
    for (uint32_t i = 0; i < p->block_count; i++) {
        if (!p->blocks[i].output) continue;
        p->blocks[i].address = at;
        at += p->blocks[i].bytes;
        count++;
    }
    p->plan->output_bytes = at;
    p->plan->output = count > 0 ? add_segment(p, M3_SEGMENT_OUTPUT, at) : M3_NO_SEGMENT;
    return check_fits(p, "the block of outputs", at, err);
}

static m3_status check_tensor(const planner *p, const m3_tensor *x, m3_error *err)
{
    char what[512], label[M3_ERROR_SUBJECT];
    if (aligned(p, m3_tensor_bytes(x)) <= p->cap) return M3_OK;
    (void)snprintf(what, sizeof what, "%s %s of %s", m3_dtype_name(x->dtype), M3_SHAPE_TEXT(&x->shape),
                   x->producer != NULL ? m3_node_label(x->producer, label, sizeof label) : "a constant");
    return check_fits(p, what, m3_tensor_bytes(x), err);
}

/* Constants that this device reads, one behind the other. */
static m3_status place_constants(planner *p, m3_error *err)
{
    uint64_t at = 0;
    m3_plan *plan = p->plan;
    m3_status st = M3_OK;
    plan->constant = plan->segment_count;
    for (uint32_t i = 0; i < p->s->tensor_count && st == M3_OK; i++) {
        const m3_tensor *x = tensor_at(p, i);
        if (x->kind != M3_CONSTANT || p->last[i] == M3_NONE) continue;
        const uint64_t bytes = aligned(p, m3_tensor_bytes(x));
        if (plan->constant_count == 0 || at + bytes > p->cap) {
            (void)add_segment(p, M3_SEGMENT_CONSTANT, 0);
            plan->constant_count++;
            at = 0;
        }
        plan->places[i] = (m3_place){plan->segment_count - 1, at};
        at += bytes;
        if (at > 0) plan->segments[plan->segment_count - 1].bytes = at;
        plan->constant_bytes += bytes;
        st = check_tensor(p, x, err);
    }
    return st;
}

static void place_stored(planner *p, const m3_store *store)
{
    p->plan->store = p->plan->segment_count;
    p->plan->store_count = store != NULL ? store->chunk_count : 0;
    for (uint32_t i = 0; i < p->plan->store_count; i++) (void)add_segment(p, M3_SEGMENT_STORE, store->chunks[i].bytes);
    for (uint32_t i = 0; i < p->s->tensor_count && store != NULL; i++) {
        const m3_tensor *x = tensor_at(p, i);
        if (x->kind != M3_PARAMETER && x->kind != M3_STATE) continue;
        const m3_stored *entry = m3_store_get(store, x->name);
        p->plan->places[i] = (m3_place){p->plan->store + entry->chunk, entry->offset};
    }
}

static m3_status measure_alive(const planner *p, m3_error *err)
{
    uint64_t now = 0;
    uint64_t *born = m3_calloc((size_t)p->s->step_count + 2, sizeof *born);
    uint64_t *gone = m3_calloc((size_t)p->s->step_count + 2, sizeof *gone);
    if (born == NULL || gone == NULL) {
        m3_free(born);
        m3_free(gone);
        return M3_FAIL_MEMORY(err, "memory plan", p->s->step_count * sizeof *born);
    }
    for (uint32_t i = 0; i < p->scratch_count; i++) {
        born[p->scratch[i]->first] += p->scratch[i]->bytes;
        gone[p->scratch[i]->last + 1] += p->scratch[i]->bytes;
    }
    for (uint32_t i = 0; i < p->s->step_count; i++) {
        now = now + born[i] - gone[i];
        if (now > p->plan->alive_bytes) p->plan->alive_bytes = now;
    }
    m3_free(born);
    m3_free(gone);
    return M3_OK;
}

/* Tensors without elements are not placed: any place does for them, so they lie at the start of the scratch. */
static m3_status place_scratch(planner *p, m3_error *err)
{
    m3_plan *plan = p->plan;
    bool any = false;
    m3_status st = M3_OK;
    for (uint32_t i = 0; i < p->block_count; i++) {
        if (p->blocks[i].output) continue;
        any = true;
        if (p->blocks[i].bytes > 0) p->scratch[p->scratch_count++] = &p->blocks[i];
    }
    plan->scratch = plan->segment_count;
    const bool apart = p->s->devices[p->device]->limits.overlaps;
    if (p->scratch_count > 0)
        st = (apart ? m3_place_blocks_apart : m3_place_blocks)(p->scratch, p->scratch_count, p->cap,
                                                               &plan->scratch_bytes, err);
    if (st == M3_OK) st = measure_alive(p, err);
    if (st != M3_OK) return st;
    for (uint32_t i = 0; i < p->scratch_count; i++) {
        const uint64_t segment = p->scratch[i]->address / p->cap;
        if (segment >= plan->scratch_count) plan->scratch_count = (uint32_t)segment + 1;
    }
    if (any && plan->scratch_count == 0) plan->scratch_count = 1;
    for (uint32_t i = 0; i < plan->scratch_count; i++) (void)add_segment(p, M3_SEGMENT_SCRATCH, 0);
    for (uint32_t i = 0; i < p->scratch_count; i++) {
        m3_segment *segment = &plan->segments[plan->scratch + p->scratch[i]->address / p->cap];
        const uint64_t end = p->scratch[i]->address % p->cap + p->scratch[i]->bytes;
        if (end > segment->bytes) segment->bytes = end;
    }
    return M3_OK;
}

/* Places of roots from their blocks, and of views from their roots. */
static void place_tensors(planner *p)
{
    m3_plan *plan = p->plan;
    const m3_schedule *s = p->s;
    for (uint32_t i = 0; i < s->tensor_count; i++) {
        if (s->into[i] != M3_NONE && p->device == 0) plan->places[i] = plan->places[s->into[i]];
        if (p->block[i] == M3_NONE) continue;
        const m3_block *block = &p->blocks[p->block[i]];
        plan->places[i] =
            block->output ? (m3_place){plan->output, block->address}
                          : (m3_place){plan->scratch + (uint32_t)(block->address / p->cap), block->address % p->cap};
    }
    for (uint32_t i = 0; i < s->tensor_count; i++) {
        const uint32_t root = s->root[i];
        if (root == i || s->home[i] != p->device || plan->places[root].segment == M3_NO_SEGMENT) continue;
        plan->places[i] = (m3_place){plan->places[root].segment, plan->places[root].offset + s->offset[i]};
    }
}

static m3_status allocate(planner *p, const m3_store *store, m3_error *err)
{
    const size_t tensors = p->s->tensor_count;
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < tensors; i++) bytes += aligned(p, m3_tensor_bytes(tensor_at(p, i)));
    /* Two neighbouring segments of constants or of scratch hold more than one segment's worth. */
    const size_t segments = 4 + (store != NULL ? store->chunk_count : 0) + 4 * (size_t)(bytes / p->cap + 1);
    p->plan->places = m3_calloc(tensors, sizeof *p->plan->places);
    p->plan->segments = m3_calloc(segments, sizeof *p->plan->segments);
    p->last = m3_calloc(tensors, sizeof *p->last);
    p->block = m3_calloc(tensors, sizeof *p->block);
    p->blocks = m3_calloc(tensors, sizeof *p->blocks);
    p->scratch = m3_calloc(tensors, sizeof *p->scratch);
    if (p->plan->places == NULL || p->plan->segments == NULL || p->last == NULL || p->block == NULL ||
        p->blocks == NULL || p->scratch == NULL)
        return M3_FAIL_MEMORY(err, "memory plan", tensors * sizeof *p->blocks);
    for (size_t i = 0; i < tensors; i++) {
        p->plan->places[i].segment = M3_NO_SEGMENT;
        p->last[i] = M3_NONE;
        p->block[i] = M3_NONE;
    }
    return M3_OK;
}

m3_status m3_plan_make(m3_plan *plan, const m3_schedule *s, uint32_t device, const m3_store *store, m3_error *err)
{
    const m3_device_limits *limits = &s->devices[device]->limits;
    planner p = {.plan = plan, .s = s, .device = device};
    m3_status st = M3_OK;
    memset(plan, 0, sizeof *plan);
    p.alignment = limits->offset_alignment;
    p.spacing = s->devices[device]->spacing;
    p.cap = limits->largest_binding < limits->largest_buffer ? limits->largest_binding : limits->largest_buffer;
    p.cap -= p.cap % p.alignment;
    if (p.cap == 0)
        return M3_FAIL(err, M3_ERR_UNSUPPORTED, s->devices[device]->name, "its largest buffer is below its alignment");
    if ((st = allocate(&p, store, err)) != M3_OK) goto done;
    for (uint32_t i = 0; i < s->step_count && st == M3_OK; i++)
        for (uint32_t j = 0; s->steps[i].device == device && j < s->steps[i].node->out_count && st == M3_OK; j++)
            st = check_tensor(&p, s->steps[i].node->out[j], err);
    for (uint32_t i = 0; i < s->transfer_count && st == M3_OK; i++)
        if (s->transfers[i].to == device) st = check_tensor(&p, s->transfers[i].tensor, err);
    if (st != M3_OK) goto done;
    collect_reads(&p);
    make_blocks(&p);
    if ((st = place_inputs(&p, err)) != M3_OK) goto done;
    if ((st = place_outputs(&p, err)) != M3_OK) goto done;
    if ((st = place_constants(&p, err)) != M3_OK) goto done;
    place_stored(&p, store);
    if ((st = place_scratch(&p, err)) != M3_OK) goto done;
    place_tensors(&p);
done:
    m3_free(p.last);
    m3_free(p.block);
    m3_free(p.blocks);
    m3_free(p.scratch);
    return st; /* the caller calls m3_plan_fini either way */
}

void m3_plan_fini(m3_plan *plan)
{
    m3_free(plan->places);
    m3_free(plan->segments);
    memset(plan, 0, sizeof *plan);
}
