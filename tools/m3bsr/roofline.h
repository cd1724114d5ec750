/* roofline: `m3bsr bench --roofline`, the nodes of a run beside what the device reaches at best. */
#ifndef M3_TOOLS_ROOFLINE_H
#define M3_TOOLS_ROOFLINE_H

#include "m3bsr/bench.h"

enum { ROOFLINE_TEXT = 96 };

typedef struct roofline_row {
    char op[ROOFLINE_TEXT], shapes[ROOFLINE_TEXT], scope[ROOFLINE_TEXT];
    uint32_t nodes;
    uint64_t flops, bytes;
    double seconds, floor_s, arithmetic_s, memory_s;
} roofline_row;

/** Starts as {0}, ends with roofline_free(). */
typedef struct roofline {
    roofline_row *rows; /**< a node each, in the order of the program */
    uint32_t count, capacity;
    bool short_of_memory;
} roofline;

/** Keeps a node; user: roofline. For m3_bench_options.node. */
void roofline_add(void *user, const m3_bench_node *node);
/** Rates; nodes of equal op and shapes, ops and scopes by falling loss; the floor of a run. */
m3_status roofline_print(const roofline *r, const m3_bench_result *result, m3_error *err);
/** , "roofline": {…} */
void roofline_print_json(const roofline *r, const m3_bench_result *result);
void roofline_free(roofline *r);

#endif
