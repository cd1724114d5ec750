/* roofline: what is lost of a node's time is what lies above its floor, the longer of its arithmetic at the device's
 * peak and its memory traffic at the rate of a copy. A row sums nodes that are alike, and rows stand by falling loss.
 */
#include "tools/m3bsr/roofline.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/m3bsr/cli.h"

/* Nodes of equal op and shapes that lose less than this share of a run are summed as others. */
static const double SHOWN = 0.001;

void roofline_free(roofline *r)
{
    free(r->rows);
    *r = (roofline){0};
}

/* Adds " [4, 5]", cut where the row's room ends. */
static void append_shape(char *text, const char *before, const m3_shape *shape)
{
    char of[128];
    const size_t at = strlen(text);
    (void)snprintf(text + at, ROOFLINE_TEXT - at, "%s%.*s", before, (int)sizeof of,
                   m3_shape_text(shape, of, sizeof of));
}

/* "f32 [4, 5] [5, 6] -> [4, 6]": the first two inputs, which decide for most ops, and the first output. */
static void write_shapes(const m3_node *node, char *text)
{
    (void)snprintf(text, ROOFLINE_TEXT, "%s", m3_dtype_name(node->out[0]->dtype));
    for (uint32_t i = 0; i < node->in_count && i < 2; i++)
        if (node->in[i] != NULL) append_shape(text, " ", &node->in[i]->shape);
    append_shape(text, " -> ", &node->out[0]->shape);
}

void roofline_add(void *user, const m3_bench_node *node)
{
    roofline *r = user;
    if (r->count == r->capacity) {
        const uint32_t capacity = r->capacity != 0 ? 2 * r->capacity : 256;
        roofline_row *grown = realloc(r->rows, capacity * sizeof *grown);
        r->short_of_memory = r->short_of_memory || grown == NULL;
        if (grown == NULL) return;
        r->rows = grown;
        r->capacity = capacity;
    }
    roofline_row *row = &r->rows[r->count++];
    *row = (roofline_row){.nodes = 1,
                          .flops = node->flops,
                          .bytes = node->bytes,
                          .seconds = node->seconds,
                          .floor_s = node->floor_s,
                          .arithmetic_s = node->arithmetic_s,
                          .memory_s = node->memory_s};
    (void)snprintf(row->op, sizeof row->op, "%s", node->node->op->name);
    (void)snprintf(row->scope, sizeof row->scope, "%s", node->node->scope);
    write_shapes(node->node, row->shapes);
}

/* Sums. */

typedef enum grouping { BY_NODE, BY_OP, BY_SCOPE } grouping;

static bool alike(const roofline_row *a, const roofline_row *b, grouping by)
{
    if (by == BY_SCOPE) return strcmp(a->scope, b->scope) == 0;
    return strcmp(a->op, b->op) == 0 && (by == BY_OP || strcmp(a->shapes, b->shapes) == 0);
}

static int by_loss(const void *a, const void *b)
{
    const roofline_row *x = a, *y = b;
    const double of_x = x->seconds - x->floor_s, of_y = y->seconds - y->floor_s;
    return of_x > of_y ? -1 : of_x < of_y;
}

static void add_row(roofline_row *to, const roofline_row *row)
{
    to->nodes += row->nodes;
    to->flops += row->flops;
    to->bytes += row->bytes;
    to->seconds += row->seconds;
    to->floor_s += row->floor_s;
    to->arithmetic_s += row->arithmetic_s;
    to->memory_s += row->memory_s;
}

static uint32_t sum(const roofline *r, grouping by, roofline_row *sums)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < r->count; i++) {
        const roofline_row *row = &r->rows[i];
        uint32_t k = 0;
        while (k < count && !alike(&sums[k], row, by)) k++;
        if (k == count)
            sums[count++] = *row;
        else
            add_row(&sums[k], row);
    }
    qsort(sums, count, sizeof *sums, by_loss);
    return count;
}

/* Text. */

static const char *bound_of(const roofline_row *row)
{
    return row->arithmetic_s > row->memory_s ? "arithmetic" : "memory";
}

static double per_second(double amount, double seconds)
{
    return seconds > 0 ? amount / seconds : 0.0;
}

static void print_row(const roofline_row *row)
{
    (void)printf(" %6u %10.3f %10.3f %10.3f %10.2f %10.2f  %-10s %7.1f%%\n", row->nodes, 1e3 * row->seconds,
                 1e3 * row->floor_s, 1e3 * (row->seconds - row->floor_s),
                 per_second(1e-9 * (double)row->flops, row->seconds),
                 per_second(1e-9 * (double)row->bytes, row->seconds), bound_of(row),
                 100.0 * per_second(row->floor_s, row->seconds));
}

static const char *name_of(const roofline_row *row, grouping by)
{
    return by != BY_SCOPE ? row->op : row->scope[0] != 0 ? row->scope : "(none)";
}

static const char *shapes_of(const roofline_row *row, grouping by)
{
    return by == BY_NODE ? row->shapes : "";
}

/* Rows of a table; with a limit those that lose less seconds are one row at its end. */
static uint32_t add_up(const roofline *r, grouping by, double limit, roofline_row *sums)
{
    const uint32_t count = sum(r, by, sums);
    uint32_t kept = 0;
    while (kept < count && sums[kept].seconds - sums[kept].floor_s >= limit) kept++;
    if (kept + 1 >= count) return count;
    roofline_row *others = &sums[kept];
    for (uint32_t i = kept + 1; i < count; i++) add_row(others, &sums[i]);
    (void)snprintf(others->op, sizeof others->op, "others");
    others->shapes[0] = 0;
    return kept + 1;
}

static void print_table(const roofline *r, grouping by, double limit, roofline_row *sums)
{
    const uint32_t count = add_up(r, by, limit, sums);
    int name = 6, shapes = by == BY_NODE ? 6 : 0;
    for (uint32_t i = 0; i < count; i++) {
        const int of_name = (int)strlen(name_of(&sums[i], by)), of_shapes = (int)strlen(shapes_of(&sums[i], by));
        if (of_name > name) name = of_name;
        if (of_shapes > shapes) shapes = of_shapes;
    }
    (void)printf("\n%-*s  %-*s %6s %10s %10s %10s %10s %10s  %-10s %8s\n", name, by == BY_SCOPE ? "scope" : "op",
                 shapes, by == BY_NODE ? "shapes" : "", "nodes", "ms", "floor ms", "lost ms", "GFLOP/s", "GB/s",
                 "bound by", "reached");
    for (uint32_t i = 0; i < count; i++) {
        cli_show(stdout, "%-*s  %-*s", name, name_of(&sums[i], by), shapes, shapes_of(&sums[i], by));
        print_row(&sums[i]);
    }
}

m3_status roofline_print(const roofline *r, const m3_bench_result *result, m3_error *err)
{
    roofline_row *sums = calloc((size_t)r->count + 1, sizeof *sums);
    if (sums == NULL || r->short_of_memory) {
        free(sums);
        return M3_FAIL_MEMORY(err, "roofline", ((size_t)r->count + 1) * sizeof *sums);
    }
    (void)printf("  measured: a copy %.1f GB/s, fused multiply-adds %.1f GFLOP/s, a product %.1f GFLOP/s",
                 result->copy_gigabytes_per_s, result->peak_gflops, result->product_gflops);
    if (result->half_gflops > 0) (void)printf(", in 16 bits %.1f", result->half_gflops);
    (void)printf("\n");
    print_table(r, BY_NODE, SHOWN * result->nodes_s, sums);
    print_table(r, BY_OP, -INFINITY, sums);
    print_table(r, BY_SCOPE, -INFINITY, sums);
    (void)printf("\na run %.2f ms, its nodes %.2f ms, their floors %.2f ms = %.1f %% of the run\n",
                 1e3 * result->median_s, 1e3 * result->nodes_s, 1e3 * result->floor_s,
                 100.0 * per_second(result->floor_s, result->median_s));
    free(sums);
    return M3_OK;
}

/* JSON. */

static void print_number(const char *key, double number)
{
    (void)printf(", \"%s\": ", key);
    cli_json_number(number);
}

static void print_text(const char *key, const char *text)
{
    (void)printf(", \"%s\": ", key);
    cli_json_text(text);
}

void roofline_print_json(const roofline *r, const m3_bench_result *result)
{
    (void)printf(", \"roofline\": {\"nodes_s\": ");
    cli_json_number(result->nodes_s);
    print_number("floor_s", result->floor_s);
    print_number("copy_gigabytes_per_s", result->copy_gigabytes_per_s);
    print_number("product_gflops", result->product_gflops);
    print_number("half_gflops", result->half_gflops);
    (void)printf(", \"nodes\": [");
    for (uint32_t i = 0; i < r->count; i++) {
        const roofline_row *row = &r->rows[i];
        (void)printf("%s{\"op\": \"%s\"", i == 0 ? "" : ", ", row->op);
        print_text("shapes", row->shapes);
        print_text("scope", row->scope);
        print_text("bound", bound_of(row));
        (void)printf(", \"flops\": %llu, \"bytes\": %llu", (unsigned long long)row->flops,
                     (unsigned long long)row->bytes);
        print_number("seconds", row->seconds);
        print_number("floor_s", row->floor_s);
        (void)printf("}");
    }
    (void)printf("]}");
}
