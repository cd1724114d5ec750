/* link: how fast ranks sum gradients. A sum of a few values takes two exchanges in which hardly anything is sent; one
 * of many takes as long as its bytes:
 *   latency = few / 2,  rate = bytes sent / (many - few)
 * each the median of some, which all ranks start together. */
#include <stdlib.h>

#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/parallel/group.h"
#include "m3bsr/plan.h"

enum { FEW = 8, MANY = 4 << 20 /* values */, FEW_RUNS = 25, MANY_RUNS = 3, WARM_UPS = 1 };

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static m3_status time_sums(m3_member *member, float *values, uint64_t count, int runs, double *median, m3_error *err)
{
    double times[FEW_RUNS] = {0};
    m3_status st = M3_OK;
    for (int i = -WARM_UPS; i < runs && st == M3_OK; i++) {
        unsigned char start = 0;
        if ((st = m3_member_broadcast(member, 0, &start, 1, err)) != M3_OK) break;
        const double began = m3_seconds();
        st = m3_member_sum(member, values, count, err);
        if (i >= 0) times[i] = m3_seconds() - began;
    }
    qsort(times, (size_t)runs, sizeof times[0], by_value);
    *median = times[runs / 2];
    return st;
}

m3_status m3_bench_link(m3_group *group, m3_link_result *result, m3_error *err)
{
    m3_status st;
    double few = 0, many = 0;
    const uint32_t ranks = m3_group_ranks(group);
    if (m3_group_here(group) != 1 || ranks < 2)
        return M3_FAIL(err, M3_ERR_INVALID, "link",
                       "%u ranks, %u of them in this process, show no link; start two processes or more, such as by "
                       "mpirun -n 2",
                       ranks, m3_group_here(group));
    m3_member *member = m3_group_member(group, 0);
    float *values = m3_calloc(MANY, sizeof *values);
    if (values == NULL) {
        st = M3_FAIL_MEMORY(err, "link", MANY * sizeof *values);
        m3_member_fail(member, err);
        return st;
    }
    st = time_sums(member, values, FEW, FEW_RUNS, &few, err);
    if (st == M3_OK) st = time_sums(member, values, MANY, MANY_RUNS, &many, err);
    m3_free(values);
    if (st != M3_OK) return st;
    const double sent = (double)m3_sum_traffic(MANY, ranks);
    result->ranks = ranks;
    result->latency_s = few / 2.0;
    result->bytes_per_s = many > few ? sent / (many - few) : sent / many;
    return M3_OK;
}
