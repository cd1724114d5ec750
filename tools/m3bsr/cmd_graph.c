/* graph: the compiled graph of a configuration: nodes, shapes, FLOPs, bytes, places, devices, the peak.
 *   m3bsr graph [CONFIG] [--what step|infer] [--data SET] [--dot] [--kernels] */
#include <string.h>

#include "tools/m3bsr/cli.h"

typedef struct request {
    cli c;
    const char *what, *data;
    bool dot, infer, kernels, told; /* told: a kernel */
    cli_model model;
    m3_store *store;
    m3_executable *executable;
} request;

static m3_status compile(request *r, const m3_model_config *config, m3_error *err)
{
    m3_graph *graph = NULL;
    const m3_build_options build = {.size = M3_STRUCT_SIZE(m3_build_options, accumulate),
                                    .publish = r->infer ? M3_PUBLISH_SCORES : 0u,
                                    .no_pass = cli_no_pass(&r->c)};
    const m3_compile_options options = {.size = M3_STRUCT_SIZE(m3_compile_options, recompute),
                                        .name = r->infer ? "infer" : "step",
                                        .no_pass = cli_no_pass(&r->c),
                                        .strict = r->c.strict,
                                        .precision = m3_model_precision(config),
                                        .recompute = m3_model_recompute(config),
                                        .fallbacks = r->c.fallbacks};
    m3_status st = r->infer ? m3_model_build_infer(r->c.engine, config, &build, &graph, err)
                            : m3_model_build_train(r->c.engine, config, &build, &graph, err);
    if (st == M3_OK) st = m3_store_create(r->c.device, 0, &r->store, err);
    if (st == M3_OK) st = m3_executable_create(r->c.device, r->store, graph, &options, &r->executable, err);
    m3_graph_free(graph);
    return st;
}

static void print_node_json(const m3_executable_node *at, bool first)
{
    const m3_node *node = at->node;
    (void)printf("%s{\"op\": ", first ? "" : ", ");
    cli_json_text(node->op->name);
    (void)printf(", \"scope\": ");
    cli_json_text(node->scope);
    uint64_t written = 0;
    const uint64_t traffic = m3_node_traffic(node, &written);
    (void)printf(", \"flops\": %llu, \"read_bytes\": %llu, \"written_bytes\": %llu, \"device\": ",
                 (unsigned long long)m3_node_flops(node), (unsigned long long)(traffic - written),
                 (unsigned long long)written);
    cli_json_text(at->device);
    (void)printf(", \"reason\": ");
    cli_json_text(at->reason);
    (void)printf(", \"outputs\": [");
    for (uint32_t i = 0; i < node->out_count; i++) {
        const m3_tensor *y = node->out[i];
        const m3_place *place = &at->places[y->id];
        char shape[128];
        (void)printf("%s{\"tensor\": %u, \"type\": \"%s\", \"shape\": %s, \"bytes\": %llu, \"segment\": ",
                     i == 0 ? "" : ", ", y->id, m3_dtype_name(y->dtype), m3_shape_text(&y->shape, shape, sizeof shape),
                     (unsigned long long)m3_tensor_bytes(y));
        if (place->segment == M3_NO_SEGMENT)
            (void)printf("null, \"offset\": null}");
        else
            (void)printf("%u, \"offset\": %llu}", place->segment, (unsigned long long)place->offset);
    }
    (void)printf("]}");
}

/* Kernels. */

static void print_kernel(void *user, const m3_executable_kernel *kernel)
{
    request *r = user;
    if (!r->told) (void)printf("kernels, with the operations and the traffic of the nodes that they take part in:\n");
    r->told = true;
    (void)printf("%s: %s\n    %u dispatches, %u nodes, %llu FLOP, %llu bytes\n", kernel->device, kernel->info->name,
                 kernel->info->dispatches, kernel->nodes, (unsigned long long)kernel->flops,
                 (unsigned long long)kernel->bytes);
    for (uint32_t i = 0; i < kernel->info->figures.count; i++) {
        const m3_kernel_figure *figure = m3_span_at(kernel->info->figures, i);
        cli_show(stdout, "%s%s: %s", i == 0 ? "    " : "; ", figure->name, figure->value);
    }
    if (kernel->info->lacks[0] != 0)
        (void)printf("%s(%s)", kernel->info->figures.count == 0 ? "    " : " ", kernel->info->lacks);
    (void)printf("\n");
}

static void print_kernel_json(void *user, const m3_executable_kernel *kernel)
{
    request *r = user;
    (void)printf("%s{\"device\": ", r->told ? ", " : "");
    r->told = true;
    cli_json_text(kernel->device);
    (void)printf(", \"name\": ");
    cli_json_text(kernel->info->name);
    (void)printf(", \"dispatches\": %u, \"nodes\": %u, \"flops\": %llu, \"bytes\": %llu, \"figures\": {",
                 kernel->info->dispatches, kernel->nodes, (unsigned long long)kernel->flops,
                 (unsigned long long)kernel->bytes);
    for (uint32_t i = 0; i < kernel->info->figures.count; i++) {
        const m3_kernel_figure *figure = m3_span_at(kernel->info->figures, i);
        if (i > 0) (void)printf(", ");
        cli_json_text(figure->name);
        (void)printf(": ");
        cli_json_text(figure->value);
    }
    (void)printf("}, \"lacks\": ");
    cli_json_text(kernel->info->lacks);
    (void)printf("}");
}

static m3_status print_json(request *r, m3_error *err)
{
    m3_status st = M3_OK;
    m3_executable_stats s = {.size = M3_STRUCT_SIZE(m3_executable_stats, written_bytes)};
    m3_executable_get_stats(r->executable, &s);
    (void)printf("{\"graph\": \"%s\", \"device\": ", r->infer ? "infer" : "step");
    cli_json_text(m3_device_name(r->c.device));
    (void)printf(", \"nodes\": %u, \"fallback_nodes\": %u, \"flops\": %llu, \"scratch_bytes\": %llu, "
                 "\"store_bytes\": %llu, \"input_bytes\": %llu, \"output_bytes\": %llu, \"constant_bytes\": %llu, "
                 "\"read_bytes\": %llu, \"written_bytes\": %llu, \"steps\": [",
                 s.nodes, s.fallback_nodes, (unsigned long long)s.flops, (unsigned long long)s.scratch_bytes,
                 (unsigned long long)s.store_bytes, (unsigned long long)s.input_bytes,
                 (unsigned long long)s.output_bytes, (unsigned long long)s.constant_bytes,
                 (unsigned long long)s.read_bytes, (unsigned long long)s.written_bytes);
    for (uint32_t i = 0; i < m3_executable_node_count(r->executable); i++) {
        m3_executable_node at = {.size = M3_STRUCT_SIZE(m3_executable_node, time_ns)};
        m3_executable_node_at(r->executable, i, &at);
        print_node_json(&at, i == 0);
    }
    (void)printf("]");
    if (r->kernels) {
        (void)printf(", \"kernels\": [");
        st = m3_executable_kernels(r->executable, print_kernel_json, r, err);
        (void)printf("]");
    }
    (void)printf("}\n");
    return st;
}

static m3_status show(request *r, m3_error *err)
{
    m3_status st;
    if ((st = cli_open_device(&r->c, err)) != M3_OK) return st;
    if ((st = cli_model_open(&r->c, r->data, &r->model, err)) != M3_OK) return st;
    if ((st = compile(r, &r->model.config, err)) != M3_OK) return st;
    if (r->dot) {
        m3_graph_dump_dot(m3_executable_graph(r->executable), stdout);
        return M3_OK;
    }
    if (r->c.json) return print_json(r, err);
    m3_executable_dump(r->executable, stdout);
    return r->kernels ? m3_executable_kernels(r->executable, print_kernel, r, err) : M3_OK;
}

int cmd_graph(int argc, char **argv)
{
    request r = {.what = "step"};
    m3_error err = {0};
    const cli_option options[] = {
        {"what", CLI_TEXT, &r.what, "NAME", "step (default): training; or infer"},
        {"data", CLI_TEXT, &r.data, "SET", "take behaviors, items, features from this set"},
        {"dot", CLI_FLAG, &r.dot, NULL, "the graph for Graphviz"},
        {"kernels", CLI_FLAG, &r.kernels, NULL, "what the driver says of each kernel"},
    };
    const cli_command command = {
        .usage = "graph [CONFIG] [--what step|infer] [options]",
        .about =
            "Print the graph as it is compiled for a device: nodes, shapes, floating-point operations, bytes,\n"
            "places in memory, which device runs each, with the reason where it is another; memory traffic by op,\n"
            "and the peak.",
        .groups = CLI_MODEL | CLI_DEVICE | CLI_PASSES,
        .options = options,
        .option_count = sizeof options / sizeof options[0],
        .max_words = 1};
    int status = cli_parse(&r.c, &command, argc, argv);
    if (status != CLI_GO_ON) return status;
    r.infer = strcmp(r.what, "infer") == 0;
    if (!r.infer && strcmp(r.what, "step") != 0) {
        cli_show(stderr, "error: --what cannot be '%s'; give step or infer\n", r.what);
        return CLI_BAD_INPUT;
    }
    m3_status st = show(&r, &err);
    m3_executable_free(r.executable);
    m3_store_free(r.store);
    cli_model_close(&r.model);
    cli_close(&r.c);
    return st == M3_OK ? CLI_DONE : cli_report(&err);
}
