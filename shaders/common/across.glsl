/* across: what the invocations of a group make of a value of each, for each of them. After LANES is declared.
 *
 *   ACROSS_MEMORY(type)                what the group shares for it, once
 *   DECLARE_ACROSS(type, name, join)   declares `type name(type v)`, which every invocation of the group calls
 *
 * join(a, b) may be a macro, and gives the same bits as join(b, a). The order is fixed: LANES and SUBGROUP decide it.
 * With SUBGROUPS, partners at the distances 1, 2, 4, … of a subgroup exchange what they have; results of several
 * subgroups are joined from shared memory, whose halves take turns, so that a call needs one barrier. Without, a team of
 * eight invocations joins what all have written. */
#ifdef SUBGROUPS

const uint ACROSS_PARTS = LANES / SUBGROUP;

#define ACROSS_MEMORY(type)                       \
    shared type across_part[2 * ACROSS_PARTS];    \
    uint across_turn = 0u;
#define DECLARE_ACROSS(type, name, join)                                                \
    type name(type v)                                                                   \
    {                                                                                   \
        for (uint k = 1u; k < SUBGROUP; k *= 2u) v = join(v, subgroupShuffleXor(v, k)); \
        if (ACROSS_PARTS == 1u) return v;                                               \
        const uint at = across_turn * ACROSS_PARTS;                                     \
        across_turn ^= 1u;                                                              \
        if (gl_SubgroupInvocationID == 0u) across_part[at + gl_SubgroupID] = v;         \
        barrier();                                                                      \
        type all = across_part[at];                                                     \
        for (uint k = 1u; k < ACROSS_PARTS; k++) all = join(all, across_part[at + k]);  \
        return all;                                                                     \
    }

#else

const uint TEAM = LANES < 8 ? LANES : 8u;

#define ACROSS_MEMORY(type) shared type across_between[LANES], across_team[8];
#define DECLARE_ACROSS(type, name, join)                                                      \
    type name(type v)                                                                         \
    {                                                                                         \
        if (LANES == 1) return v;                                                             \
        across_between[LANE] = v;                                                             \
        barrier();                                                                            \
        if (LANE < TEAM) {                                                                    \
            type some = across_between[LANE];                                                 \
            for (uint k = LANE + TEAM; k < LANES; k += TEAM) some = join(some, across_between[k]); \
            across_team[LANE] = some;                                                         \
        }                                                                                     \
        barrier();                                                                            \
        type all = across_team[0];                                                            \
        for (uint k = 1u; k < TEAM; k++) all = join(all, across_team[k]);                     \
        return all;                                                                           \
    }

#endif

#define SUM_OF(a, b) ((a) + (b))
