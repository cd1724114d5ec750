/* nearest: which known key a mistyped one is most like. */
#include <string.h>

#include "core/base/option.h"

enum { KEY_BYTES = 64 };

static uint32_t min_of(uint32_t a, uint32_t b, uint32_t c)
{
    uint32_t ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* Letters to insert, remove, replace or swap with their neighbour until a is b. Long keys are far from everything. */
static uint32_t distance(const char *a, const char *b)
{
    uint32_t row[3][KEY_BYTES + 1] = {{0}};
    size_t m = strlen(a), n = strlen(b);
    if (m > KEY_BYTES || n > KEY_BYTES) return UINT32_MAX;
    for (uint32_t j = 0; j <= n; j++) row[0][j] = j;
    for (uint32_t i = 1; i <= m; i++) {
        uint32_t *now = row[i % 3];
        const uint32_t *before = row[(i + 2) % 3], *two = row[(i + 1) % 3];
        now[0] = i;
        for (uint32_t j = 1; j <= n; j++) {
            now[j] = min_of(before[j] + 1, now[j - 1] + 1, before[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && two[j - 2] + 1 < now[j])
                now[j] = two[j - 2] + 1;
        }
    }
    return row[m % 3][n];
}

m3_nearest m3_nearest_to(const char *wanted)
{
    return (m3_nearest){.wanted = wanted,
                        .distance = (uint32_t)strlen(wanted) * 2 / 3 + 1}; /* nearer than nonsense is */
}

void m3_nearest_try(m3_nearest *nearest, const char *key)
{
    uint32_t d = distance(nearest->wanted, key);
    if (d >= nearest->distance) return;
    nearest->key = key;
    nearest->distance = d;
}
