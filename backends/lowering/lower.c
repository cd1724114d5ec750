/* lower: the list of dispatches, which keeps its first error. */
#include "backends/lowering/lower.h"

#include <string.h>

/* Errors. */

static bool failed(const lower_list *l)
{
    return l->error.code != M3_OK;
}

void lower_fail_memory(lower_list *l, uint64_t bytes)
{
    if (!failed(l)) (void)M3_FAIL_MEMORY(&l->error, "dispatches", bytes);
}

/* The list. */

void lower_list_fini(lower_list *l)
{
    if (l->host == NULL) return;
    l->host->release(l->host->user, l->dispatches);
    l->host->release(l->host->user, l->table);
    *l = (lower_list){0};
}

/* Room for one more entry of `size` bytes. */
static void *grow(lower_list *l, void *block, uint64_t used, uint64_t *capacity, uint64_t wanted)
{
    if (wanted <= *capacity) return block;
    uint64_t more = *capacity * 2 > wanted ? *capacity * 2 : wanted;
    void *moved = l->host->allocate(l->host->user, (size_t)more, 1);
    if (moved == NULL) {
        lower_fail_memory(l, more);
        return NULL;
    }
    if (used > 0) memcpy(moved, block, (size_t)used);
    l->host->release(l->host->user, block);
    *capacity = more;
    return moved;
}

lower_dispatch *lower_begin(lower_list *l, const char *source, const char *entry)
{
    lower_dispatch *d = &l->spare;
    uint64_t capacity = (uint64_t)l->capacity * sizeof *d, used = (uint64_t)l->count * sizeof *d;
    if (!failed(l)) {
        lower_dispatch *all = grow(l, l->dispatches, used, &capacity, used + (l->capacity == 0 ? 64 : 1) * sizeof *d);
        if (all != NULL) {
            l->dispatches = all;
            l->capacity = (uint32_t)(capacity / sizeof *d);
            d = &all[l->count++];
        }
    }
    *d = (lower_dispatch){.list = l, .source = source, .entry = entry, .node = l->node, .group = {1, 1, 1}};
    return d;
}

static void too_many(lower_dispatch *d, const char *what, uint32_t max)
{
    if (failed(d->list)) return;
    (void)M3_FAIL(&d->list->error, M3_ERR_INTERNAL, d->entry, "a dispatch of it has more than %u %s", max, what);
}

void lower_constant(lower_dispatch *d, const char *name, uint64_t value)
{
    if (value > INT32_MAX && !failed(d->list))
        (void)M3_FAIL(&d->list->error, M3_ERR_RANGE, d->entry, "constant %s: %llu does not fit into 31 bits", name,
                      (unsigned long long)value);
    if (d->constant_count == LOWER_MAX_CONSTANTS)
        too_many(d, "constants", LOWER_MAX_CONSTANTS);
    else
        d->constants[d->constant_count++] = (lower_constant_value){name, (int32_t)value};
}

void lower_bind(lower_dispatch *d, lower_view view, bool read, bool write)
{
    view.read = read;
    view.write = write;
    if (d->buffer_count == LOWER_MAX_BUFFERS)
        too_many(d, "buffers", LOWER_MAX_BUFFERS);
    else
        d->buffers[d->buffer_count++] = view;
}

bool lower_writes_store(const lower_dispatch *d)
{
    const m3_program *program = d->list->program;
    for (uint32_t i = 0; i < d->buffer_count; i++) {
        const lower_view *view = &d->buffers[i];
        if (view->memory == LOWER_SEGMENT && view->write && program->segments[view->segment].role == M3_SEGMENT_STORE)
            return true;
    }
    return false;
}

void lower_read(lower_dispatch *d, const m3_tensor *x)
{
    lower_bind(d, lower_tensor(d->list, x), true, false);
}

void lower_write(lower_dispatch *d, const m3_tensor *x)
{
    lower_bind(d, lower_tensor(d->list, x), false, true);
}

void lower_update(lower_dispatch *d, const m3_tensor *x)
{
    lower_bind(d, lower_tensor(d->list, x), true, true);
}

static void word(lower_dispatch *d, uint32_t bits)
{
    if (d->word_count == LOWER_MAX_WORDS)
        too_many(d, "words", LOWER_MAX_WORDS);
    else
        d->words[d->word_count++] = bits;
}

void lower_u32(lower_dispatch *d, uint64_t value)
{
    if (value > UINT32_MAX && !failed(d->list))
        (void)M3_FAIL(&d->list->error, M3_ERR_RANGE, d->entry, "%llu does not fit into 32 bits",
                      (unsigned long long)value);
    word(d, (uint32_t)value);
}

void lower_i32(lower_dispatch *d, int64_t value)
{
    if ((value > INT32_MAX || value < INT32_MIN) && !failed(d->list))
        (void)M3_FAIL(&d->list->error, M3_ERR_RANGE, d->entry, "%lld does not fit into 32 bits", (long long)value);
    word(d, (uint32_t)(int32_t)value);
}

void lower_f32(lower_dispatch *d, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    word(d, bits);
}

/* Geometry. */

void lower_groups(lower_dispatch *d, uint64_t x, uint64_t y, uint64_t z, uint32_t group_x, uint32_t group_y,
                  uint32_t group_z)
{
    const lower_traits *traits = d->list->traits;
    const uint64_t count[3] = {x, y, z}, items = (uint64_t)group_x * group_y * group_z;
    const uint32_t group[3] = {group_x, group_y, group_z};
    if (items > traits->largest_group && !failed(d->list))
        (void)M3_FAIL(&d->list->error, M3_ERR_RANGE, d->entry, "a group of %llu items; the device takes %u",
                      (unsigned long long)items, traits->largest_group);
    for (uint32_t i = 0; i < 3; i++) {
        if (count[i] > traits->largest_count[i] && !failed(d->list))
            (void)M3_FAIL(&d->list->error, M3_ERR_RANGE, d->entry, "%llu groups along axis %u; the device takes %u",
                          (unsigned long long)count[i], i, traits->largest_count[i]);
        d->count[i] = (uint32_t)count[i];
        d->group[i] = group[i];
    }
    d->any_group = false;
}

/* Groups in one line, folded where the device's x axis is too short. */
static void line(lower_dispatch *d, uint64_t groups, uint32_t group)
{
    const uint64_t max = d->list->traits->largest_count[0];
    const uint64_t y = lower_parts(groups, max);
    lower_groups(d, y > 1 ? lower_parts(groups, y) : groups, y > 1 ? y : 1, 1, group, 1, 1);
}

void lower_items(lower_dispatch *d, uint64_t items)
{
    const uint32_t group = d->list->traits->group; /* of few items, too: another size is another kernel to compile */
    line(d, lower_parts(items, group), group);
    d->any_group = true;
}

void lower_rows(lower_dispatch *d, uint64_t rows, uint32_t lanes)
{
    if (lanes == 1)
        lower_items(d, rows);
    else
        line(d, rows, lanes);
}

/* Memory. */

static uint64_t aligned(const lower_list *l, uint64_t bytes)
{
    return (bytes + l->alignment - 1) / l->alignment * l->alignment;
}

lower_view lower_scratch(lower_list *l, uint64_t bytes)
{
    lower_view view = {.memory = LOWER_SCRATCH, .offset = l->scratch_at, .bytes = bytes};
    l->scratch_at += aligned(l, bytes);
    if (l->scratch_at > l->scratch_bytes) l->scratch_bytes = l->scratch_at;
    return view;
}

lower_view lower_table(lower_list *l, const void *data, uint64_t bytes)
{
    lower_view view = {.memory = LOWER_TABLE, .offset = l->table_bytes, .bytes = bytes};
    const uint64_t end = l->table_bytes + aligned(l, bytes);
    if (failed(l)) return view;
    unsigned char *table = grow(l, l->table, l->table_bytes, &l->table_capacity, end);
    if (table == NULL) return view;
    memcpy(table + l->table_bytes, data, (size_t)bytes);
    l->table = table;
    l->table_bytes = end;
    return view;
}

lower_view lower_tensor(lower_list *l, const m3_tensor *x)
{
    if (x == NULL || m3_tensor_count(x) == 0) return (lower_view){.memory = LOWER_NOTHING};
    if (x->id < l->program->tensor_count) {
        const m3_place *place = &l->program->places[x->id];
        const uint64_t bytes = m3_tensor_bytes(x);
        if (place->segment < l->program->segment_count && place->offset % l->alignment == 0 &&
            place->offset <= l->program->segments[place->segment].bytes &&
            bytes <= l->program->segments[place->segment].bytes - place->offset)
            return (lower_view){LOWER_SEGMENT, place->segment, place->offset, bytes, false, false};
    }
    if (!failed(l))
        (void)M3_FAIL(&l->error, M3_ERR_RANGE, l->program->nodes[l->node]->op->name,
                      "tensor %u has no place within the segments of the program at a multiple of %u bytes", x->id,
                      l->alignment);
    return (lower_view){.memory = LOWER_NOTHING};
}

lower_view lower_segment(lower_list *l, uint32_t segment)
{
    return (lower_view){LOWER_SEGMENT, segment, 0, l->program->segments[segment].bytes, false, false};
}

/* Axes. */

/* Does axis i of every operand lie right behind axis j = i + 1? */
static bool joins(const lower_axes *a, uint64_t j_dim, const uint64_t *j_stride)
{
    for (uint32_t k = 0; k < a->operands; k++)
        if (a->stride[k][a->rank - 1] != j_stride[k] * j_dim) return false;
    return true;
}

lower_axes lower_axes_of(const m3_shape *out, const m3_shape *const *operand, uint32_t operands)
{
    lower_axes a = {.operands = operands};
    uint64_t step[LOWER_MAX_OPERANDS], stride[LOWER_MAX_OPERANDS][M3_MAX_RANK] = {0};
    for (uint32_t k = 0; k < operands; k++) {
        const uint32_t lead = out->rank - operand[k]->rank;
        step[k] = 1;
        for (uint32_t i = operand[k]->rank; i-- > 0; step[k] *= operand[k]->dim[i])
            stride[k][lead + i] = operand[k]->dim[i] == 1 ? 0 : step[k];
    }
    for (uint32_t i = 0; i < out->rank; i++) {
        const uint64_t dim = out->dim[i];
        uint64_t mine[LOWER_MAX_OPERANDS] = {0};
        if (dim == 1) continue;
        for (uint32_t k = 0; k < operands; k++) mine[k] = stride[k][i];
        const bool join = a.rank > 0 && joins(&a, dim, mine);
        if (!join) a.rank++;
        a.dim[a.rank - 1] = join ? a.dim[a.rank - 1] * dim : dim;
        for (uint32_t k = 0; k < operands; k++) a.stride[k][a.rank - 1] = mine[k];
    }
    if (a.rank == 0) {
        a.rank = 1;
        a.dim[0] = 1;
        for (uint32_t k = 0; k < operands; k++) a.stride[k][0] = 1;
    }
    return a;
}
