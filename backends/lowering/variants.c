/* variants: the choice among them, and their names. */
#include "backends/lowering/variants.h"
#include "backends/lowering/across.h"
#include "backends/lowering/matmul_plan.h"
#include "backends/lowering/tuning.h"

#include <string.h>

const char *lower_chosen(const lower_traits *traits, const char *class_text, const char *const *names, uint32_t count)
{
    const char *wanted = traits->variant != NULL ? traits->variant : lower_tuned(traits->tuning, class_text);
    for (uint32_t i = 0; i < count && wanted != NULL; i++)
        if (strcmp(names[i], wanted) == 0) return names[i];
    return names[0];
}

const char *lower_variant_named(const char *name)
{
    const char *variant = lower_processor_variant(name);
    if (variant == NULL) variant = lower_tiles_variant(name);
    if (variant == NULL) variant = lower_matrices_variant(name);
    if (variant == NULL) variant = lower_across_variant(name);
    return variant == NULL && strcmp(name, "clblast") == 0 ? "clblast" : variant;
}

unsigned long long lower_class_extent(uint64_t x)
{
    uint64_t power = 1;
    while (2 * power <= x) power *= 2;
    if (x > power && 2 * power - x <= x - power) power *= 2;
    return (unsigned long long)power;
}
