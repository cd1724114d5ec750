/* Shapes at the ends of what kernels can do: nodes are lowered for devices that need not be there, and what a device
 * cannot do in one dispatch is cut, computed in another way, or refused. */
#include "backends/lowering/program.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void log_line(void *user, m3_log_level level, const char *line)
{
    (void)user;
    (void)level;
    (void)line;
}

static void *allocate(void *user, size_t count, size_t size)
{
    (void)user;
    return calloc(count, size);
}

static void release(void *user, void *block)
{
    (void)user;
    free(block);
}

static const m3_host host = {.size = sizeof(m3_host), .log = log_line, .allocate = allocate, .release = release};

static const lower_traits card = {.lanes = 32,
                                  .vector = 1,
                                  .group = 256,
                                  .largest_group = 256,
                                  .largest_count = {65535, 65535, 65535},
                                  .units = 80,
                                  .local_bytes = 48 << 10,
                                  .largest_binding = UINT64_C(1) << 40};
static const lower_traits simulated = {.kind = LOWER_SIMULATED_GPU,
                                       .lanes = 8,
                                       .vector = 1,
                                       .group = 64,
                                       .largest_group = 1024,
                                       .largest_count = {65535, 65535, 65535},
                                       .units = 2,
                                       .simulated = 8,
                                       .local_bytes = 32 << 10,
                                       .largest_binding = UINT64_C(1) << 40};
/* Groups of a size that makes blocks short. */
static const lower_traits least_simulated = {.kind = LOWER_SIMULATED_GPU,
                                             .lanes = 8,
                                             .vector = 1,
                                             .group = 32,
                                             .largest_group = 32,
                                             .largest_count = {65535, 65535, 65535},
                                             .units = 2,
                                             .simulated = 8,
                                             .local_bytes = 16 << 10,
                                             .largest_binding = UINT64_C(1) << 40};
static const lower_traits least_card = {.lanes = 32,
                                        .vector = 1,
                                        .group = 64,
                                        .largest_group = 64,
                                        .largest_count = {65535, 65535, 65535},
                                        .units = 2,
                                        .local_bytes = 16 << 10,
                                        .largest_binding = 128 << 20};
static const lower_traits processor = {.kind = LOWER_PROCESSOR,
                                       .lanes = 1,
                                       .vector = 16,
                                       .group = 16,
                                       .largest_group = 4096,
                                       .largest_count = {1 << 19, 1 << 19, 1 << 19},
                                       .units = 2,
                                       .local_bytes = 2 << 20,
                                       .largest_binding = 1 << 30};
static const lower_traits plain_processor = {.kind = LOWER_PROCESSOR,
                                             .lanes = 1,
                                             .vector = 1,
                                             .group = 16,
                                             .largest_group = 4096,
                                             .largest_count = {1 << 16, 1 << 16, 1 << 16},
                                             .units = 2,
                                             .local_bytes = 64 << 10,
                                             .largest_binding = 1 << 30};

/* Words of dispatches. */
enum { BLOCK = 3 /* of order_move */, PART = 4 /* of reduce */ };

static const struct row {
    const char *name, *op;
    const lower_traits *traits;
    m3_shape in[2], out[2]; /* rank 0 and extent 0 behind the last */
    int64_t attr[2];        /* the first attribute */
    m3_status want;
    const char *says;    /* the error, or the entry of the first dispatch */
    uint32_t word;       /* of every dispatch that has it */
    uint64_t most;       /* what it may be; 0: anything */
    uint32_t dispatches; /* or 0: any number */
    uint64_t apart;      /* bytes from a tensor to the next, or 0: they lie close */
} rows[] = {
    {"ids in any number are added on a card",
     "scatter_add",
     &card,
     {{1, {4000000}}, {2, {4000000, 1}}},
     {{2, {2, 1}}},
     .says = "order_count"},
    {"ids that an item can add are added at once",
     "scatter_add",
     &simulated,
     {{1, {65000}}, {2, {65000, 1}}},
     {{2, {2, 1}}},
     .says = "order_count",
     .dispatches = 4},
    {"more ids than an item can add are added in turns",
     "scatter_add",
     &simulated,
     {{1, {130001}}, {2, {130001, 1}}},
     {{2, {2, 1}}},
     .says = "order_count",
     .dispatches = 6},
    {"more ids than an item can add are grouped",
     "group_rows",
     &simulated,
     {{1, {130001}}, {2, {130001, 1}}},
     {{1, {130001}}, {2, {130001, 1}}},
     .says = "order_count"},
    {"more ids than blocks can walk over are not grouped",
     "group_rows",
     &simulated,
     {{1, {4200000}}, {2, {4200000, 1}}},
     {{1, {4200000}}, {2, {4200000, 1}}},
     .want = M3_ERR_UNSUPPORTED,
     .says = "4200000 ids; this device, which is simulated, walks over blocks of 65792"},

    {"a row is sorted in 64 blocks",
     "sort",
     &simulated,
     {{2, {1, 262144}}},
     {{2, {1, 262144}}, {2, {1, 262144}}},
     .says = "order_count",
     .word = BLOCK,
     .most = 4096},
    {"one of many rows is sorted as a whole",
     "sort",
     &simulated,
     {{2, {64, 102400}}},
     {{2, {64, 102400}}, {2, {64, 102400}}},
     .says = "order_move",
     .word = BLOCK,
     .most = 102400},
    {"many long rows are cut so that a block can be walked",
     "sort",
     &simulated,
     {{2, {64, 700000}}},
     {{2, {64, 700000}}, {2, {64, 700000}}},
     .says = "order_count",
     .word = BLOCK,
     .most = 256 * 650},
    {"a very long row is cut into more blocks",
     "sort",
     &simulated,
     {{2, {1, 2000000000}}},
     {{2, {1, 2000000000}}, {2, {1, 2000000000}}},
     .says = "order_count",
     .word = BLOCK,
     .most = 256 * 650},
    {"a row of more blocks than a group can count is refused",
     "sort",
     &least_simulated,
     {{2, {1, 2000000000}}},
     {{2, {1, 2000000000}}, {2, {1, 2000000000}}},
     .want = M3_ERR_UNSUPPORTED,
     .says = "rows have 2000000000 elements; this device, which is simulated, takes 1523980416"},

    {"few of a row are selected",
     "top_k",
     &simulated,
     {{2, {1, 1000000}}},
     {{2, {1, 4}}, {2, {1, 4}}},
     .attr = {4},
     .says = "top_select"},
    {"few of a row that is too long for that are selected on a card",
     "top_k",
     &card,
     {{2, {1, 9000000}}},
     {{2, {1, 4}}, {2, {1, 4}}},
     .attr = {4},
     .says = "top_select"},
    {"few of a row that is too long to be walked so often are sorted out",
     "top_k",
     &simulated,
     {{2, {1, 9000000}}},
     {{2, {1, 4}}, {2, {1, 4}}},
     .attr = {4},
     .says = "order_count"},

    {"a long column is cut where a cache ends",
     "reduce_sum",
     &simulated,
     {{2, {1000000, 2}}},
     {{1, {2}}},
     .says = "reduce_columns",
     .word = PART,
     .most = 3907},
    {"a column is cut into no more parts than an item can add",
     "reduce_sum",
     &simulated,
     {{2, {16700000, 2}}},
     {{1, {2}}},
     .says = "reduce_columns",
     .word = PART,
     .most = 64000},
    {"so is the longest column",
     "reduce_sum",
     &simulated,
     {{2, {1073741823, 2}}},
     {{1, {2}}},
     .says = "reduce_columns",
     .word = PART,
     .most = 64000},
    {"so is the longest row",
     "reduce_sum",
     &simulated,
     {{2, {1, 2147483647}}},
     {{1, {1}}},
     .attr = {1},
     .says = "reduce_rows",
     .word = PART,
     .most = 64000},

    {"a matrix is turned in tiles",
     "transpose",
     &card,
     {{2, {64, 64}}},
     {{2, {64, 64}}},
     .attr = {1, 0},
     .says = "turn_tiles"},
    {"a processor turns it in strips, however long",
     "transpose",
     &processor,
     {{2, {8, 2000000}}},
     {{2, {2000000, 8}}},
     .attr = {1, 0},
     .says = "turn_strips"},
    {"a processor without vectors turns it in tiles",
     "transpose",
     &plain_processor,
     {{2, {64, 64}}},
     {{2, {64, 64}}},
     .attr = {1, 0},
     .says = "turn_tiles"},
    {"it takes one by one what has more tiles than groups",
     "transpose",
     &plain_processor,
     {{2, {8, 2000000}}},
     {{2, {2000000, 8}}},
     .attr = {1, 0},
     .says = "take"},
    {"so does a device whose groups are smaller than a tile",
     "transpose",
     &least_card,
     {{2, {64, 64}}},
     {{2, {64, 64}}},
     .attr = {1, 0},
     .says = "take"},

    {"tensors of a segment share a dispatch",
     "global_norm",
     &card,
     {{1, {4096}}, {1, {4096}}},
     {{0, {0}}},
     .says = "squares",
     .dispatches = 2},
    {"tensors farther from each other than numbers count do not",
     "global_norm",
     &card,
     {{1, {4096}}, {1, {4096}}},
     {{0, {0}}},
     .says = "squares",
     .dispatches = 3,
     .apart = UINT64_C(1) << 34},
    {"those just within do",
     "global_norm",
     &card,
     {{1, {4096}}, {1, {4096}}},
     {{0, {0}}},
     .says = "squares",
     .dispatches = 2,
     .apart = (UINT64_C(1) << 34) - 16640},
};

/* A program of one node. */
typedef struct single {
    m3_op op;
    m3_tensor tensor[4];
    m3_tensor *in[2], *out[2];
    m3_attr attr[2];
    m3_node node;
    const m3_node *nodes[1];
    m3_place places[4];
    m3_segment segment;
    m3_program program;
} single;

static m3_tensor *add(single *s, const m3_shape *shape, m3_dtype dtype, uint64_t room)
{
    const uint32_t id = s->program.tensor_count++;
    m3_tensor *x = &s->tensor[id];
    *x = (m3_tensor){.size = sizeof *x, .id = id, .dtype = dtype, .shape = *shape};
    s->places[id] = (m3_place){0, s->segment.bytes};
    const uint64_t bytes = (m3_tensor_bytes(x) + 255) / 256 * 256;
    s->segment.bytes += bytes > room ? bytes : room;
    return x;
}

static void single_init(single *s, const struct row *row)
{
    *s = (single){.op = {.size = sizeof(m3_op), .name = row->op},
                  .node = {.size = sizeof(m3_node), .scope = ""},
                  .segment = {M3_SEGMENT_SCRATCH, 0}};
    const bool ids = strcmp(row->op, "scatter_add") == 0 || strcmp(row->op, "group_rows") == 0;
    m3_node *node = &s->node;
    for (uint32_t i = 0; i < 2 && (i == 0 || row->in[i].rank > 0); i++)
        s->in[node->in_count++] = add(s, &row->in[i], ids && i == 0 ? M3_I32 : M3_F32, row->apart);
    for (uint32_t i = 0; i < 2 && (i == 0 || row->out[i].rank > 0); i++)
        s->out[node->out_count++] = add(s, &row->out[i], M3_F32, 0);
    for (uint32_t i = 0; i < 2; i++) s->attr[0].i[i] = row->attr[i];
    node->op = &s->op;
    node->in = s->in;
    node->out = s->out;
    node->attr = s->attr;
    s->nodes[0] = node;
    s->program.size = sizeof s->program;
    s->program.name = "test";
    s->program.node_count = 1;
    s->program.nodes = s->nodes;
    s->program.places = s->places;
    s->program.segment_count = 1;
    s->program.segments = &s->segment;
}

static void lowers(void **state)
{
    const struct row *row = *state;
    lower_list list = {0};
    m3_error err = {0};
    single s;
    single_init(&s, row);
    assert_int_equal(lower_program(&list, &host, row->traits, &s.program, 256, &err), row->want);
    if (row->want != M3_OK) {
        assert_non_null(strstr(err.message, row->says));
    } else {
        assert_string_equal(list.dispatches[0].entry, row->says);
        if (row->dispatches > 0) assert_int_equal(list.count, row->dispatches);
        for (uint32_t i = 0; i < list.count && row->most > 0; i++)
            if (row->word < list.dispatches[i].word_count)
                assert_true(list.dispatches[i].words[row->word] <= row->most);
    }
    lower_list_fini(&list);
}

int main(void)
{
    enum { ROWS = sizeof rows / sizeof rows[0] };
    struct CMUnitTest tests[ROWS];
    for (size_t i = 0; i < ROWS; i++)
        tests[i] = (struct CMUnitTest){rows[i].name, lowers, NULL, NULL, (void *)(uintptr_t)&rows[i]};
    return _cmocka_run_group_tests("lower_limits", tests, ROWS, NULL, NULL);
}
