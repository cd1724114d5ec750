/* common: what every source of this folder includes. Floor: Vulkan 1.1, SPIR-V 1.3, no extension. Entries that the
 * contract lists as `subgroups` are compiled once more with SUBGROUPS defined, for devices whose subgroups exchange
 * values: a group consists of full subgroups of SUBGROUP invocations then.
 *
 * A source NAME.comp has one or more entries, which shaders/contract lists; the build compiles it once for each, with
 * ENTRY its name and ENTRY_name defined. DECLARE_CONTRACT(ENTRY) declares what the contract has of it: specialisation
 * constants from 3 on (0 to 2 are the workgroup's size), buffers as bindings of set 0, words as push constants.
 *
 * Bytes (bool, u8) and halves lie in words of 32 bits: BYTE reads one; whoever writes them writes whole words, whose
 * rest is padding, because places are aligned. */
#include "shaders/contract/types.h"

#ifdef SUBGROUPS
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#endif

layout(local_size_x_id = 0, local_size_y_id = 1, local_size_z_id = 2) in;

#define DECLARE_CONTRACT(entry) DECLARE_ENTRY(entry)
#define DECLARE_ENTRY(entry)                                          \
    CONTRACT_##entry(DECLARE_CONSTANT, DECLARE_BUFFER, NONE_2)        \
    layout(push_constant, std430) uniform Words                       \
    {                                                                 \
        CONTRACT_##entry(NONE_2, NONE_4, DECLARE_WORD)                \
    };

#define NONE_2(a, b)
#define NONE_4(a, b, c, d)
#define DECLARE_CONSTANT(k, name)             layout(constant_id = 3 + k) const uint name = 1u;
#define DECLARE_BUFFER(k, access, type, name) BINDING(k, ACCESS_##access, Buffer##k, STORED_##type, name)
#define BINDING(k, access, block, type, name) layout(set = 0, binding = k, std430) access buffer block { type name[]; };
#define DECLARE_WORD(type, name)              TYPE_##type name;
#define ACCESS_read readonly
#define ACCESS_write
#define ACCESS_update
#define TYPE_f32   float
#define TYPE_u32   uint
#define TYPE_i32   int
#define STORED_f32 float
#define STORED_u32 uint
#define STORED_i32 int
#define STORED_u8  uint

#define BYTE(name, i) ((name[(i) >> 2] >> (((i) & 3u) * 8u)) & 0xffu)

/* Number of an invocation in a line of groups, and of its group. */
#define ITEM  (gl_GlobalInvocationID.x + gl_NumWorkGroups.x * gl_WorkGroupSize.x * gl_GlobalInvocationID.y)
#define GROUP (gl_WorkGroupID.x + gl_NumWorkGroups.x * gl_WorkGroupID.y)
/* Rows that LANES invocations share: a group takes a row, or an invocation does when it is alone. */
#define ROW  (LANES == 1 ? ITEM : GROUP)
#ifdef SUBGROUPS
#define LANE (gl_SubgroupID * SUBGROUP + gl_SubgroupInvocationID) /* neighbours are of one subgroup, whatever the driver's order */
#else
#define LANE (LANES == 1 ? 0u : gl_LocalInvocationID.x)
#endif
