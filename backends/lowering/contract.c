/* contract: what is written by name, as a dispatch lists it by number. */
#include "backends/lowering/contract.h"

#define NONE_2(a, b)
#define NONE_4(a, b, c, d)

enum { ACCESS_read = 1, ACCESS_write = 2, ACCESS_update = ACCESS_read | ACCESS_write };

#define PUT_CONSTANT(k, name) lower_constant(d, #name, args->name);
#define PUT_BUFFER(k, access, type, name)                                                                              \
    lower_bind(d, args->name, (ACCESS_##access & ACCESS_read) != 0, (ACCESS_##access & ACCESS_write) != 0);
#define PUT_WORD(type, name) lower_##type(d, args->name);

/* The numbers of the contract are those of this order. */
#define NUMBER_CONSTANT(k, name)             number_##name,
#define NUMBER_BUFFER(k, access, type, name) number_##name,
#define NUMBER_WORD(type, name)              number_##name,
#define CHECK_CONSTANT(k, name)              _Static_assert(k == (int)number_##name, "constants count from 0");
#define CHECK_BUFFER(k, access, type, name)  _Static_assert(k == (int)number_##name, "buffers count from 0");

#define EMIT(source, entry, where)                                                                                     \
    lower_dispatch *lower_emit_##entry(lower_list *l, const lower_##entry##_args *args)                                \
    {                                                                                                                  \
        enum { CONTRACT_##entry(NUMBER_CONSTANT, NONE_4, NONE_2) constants };                                          \
        enum { CONTRACT_##entry(NONE_2, NUMBER_BUFFER, NONE_2) buffers };                                              \
        enum { CONTRACT_##entry(NONE_2, NONE_4, NUMBER_WORD) words };                                                  \
        CONTRACT_##entry(CHECK_CONSTANT, CHECK_BUFFER,                                                                 \
                         NONE_2) _Static_assert((int)constants <= (int)LOWER_MAX_CONSTANTS, "too many constants");     \
        _Static_assert((int)buffers <= (int)LOWER_MAX_BUFFERS, "too many buffers");                                    \
        _Static_assert((int)words <= (int)LOWER_MAX_WORDS, "too many words");                                          \
        lower_dispatch *d = lower_begin(l, #source, #entry);                                                           \
        CONTRACT_##entry(PUT_CONSTANT, PUT_BUFFER, PUT_WORD) return d;                                                 \
    }
CONTRACT_ENTRIES(EMIT)
