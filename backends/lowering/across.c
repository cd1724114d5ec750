/* across: the choice between shared memory and subgroups. */
#include "backends/lowering/across.h"
#include "backends/lowering/variants.h"

#include <stdio.h>
#include <string.h>

static const char by_memory[] = "shared", by_subgroups[] = "subgroups";

const char *lower_across_variant(const char *name)
{
    if (strcmp(name, by_memory) == 0) return by_memory;
    return strcmp(name, by_subgroups) == 0 ? by_subgroups : NULL;
}

/* Items of the subgroups that a group of `lanes` consists of; 0: of none. Where a GPU is simulated, an exchange is a
 * loop over items that takes its compiler long. */
static uint32_t subgroup_of(const lower_traits *traits, uint32_t lanes)
{
    const lower_subgroups *s = &traits->subgroups;
    const uint32_t items = lanes < s->items ? lanes : s->items;
    if (traits->kind != LOWER_GPU || items < 2 || items < s->least || lanes % items != 0 || lanes / items > s->most)
        return 0;
    return items;
}

/* Shapes of one class behave alike: rows and lengths of the first inputs are rounded to powers of two. */
static void write_class(const m3_node *node, char *class_text)
{
    enum { INPUTS = 2 };
    int at = snprintf(class_text, LOWER_CLASS_BYTES, "across.%s%.40s", m3_node_has_halves(node) ? "halves." : "",
                      node->op->name);
    for (uint32_t i = 0; i < INPUTS && i < node->in_count; i++) {
        const m3_tensor *x = node->in[i];
        if (x == NULL || at >= LOWER_CLASS_BYTES) continue;
        at += snprintf(class_text + at, (size_t)(LOWER_CLASS_BYTES - at), ".r%llu.l%llu",
                       lower_class_extent(lower_row_count(x)), lower_class_extent(lower_last(x)));
    }
}

uint32_t lower_across_variants(const lower_traits *traits, const m3_node *node, uint32_t lanes, char *class_text,
                               const char **names)
{
    const uint32_t items = subgroup_of(traits, lanes);
    if (items == 0) return 0;
    const bool first = items == lanes;
    write_class(node, class_text);
    names[0] = first ? by_subgroups : by_memory;
    names[1] = first ? by_memory : by_subgroups;
    return 2;
}

uint32_t lower_across(const lower_list *l, uint32_t lanes)
{
    char class_text[LOWER_CLASS_BYTES];
    const char *names[LOWER_MAX_VARIANTS];
    const m3_node *node = l->program->nodes[l->node];
    const uint32_t count = lower_across_variants(l->traits, node, lanes, class_text, names);
    if (count == 0 || lower_chosen(l->traits, class_text, names, count) != by_subgroups) return 0;
    return subgroup_of(l->traits, lanes);
}
