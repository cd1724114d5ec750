/* diverge: where a training step on one device begins to differ from that on another.
 *   m3bsr diverge [CONFIG] --backend NAME [--against NAME] [--data SET] */
#include "m3bsr/conformance.h"
#include "tools/m3bsr/cli.h"

typedef struct request {
    cli c;
    const char *against_name, *data;
    cli_model model;
    m3_device *against;
} request;

static m3_status run(request *r, m3_divergence *found, m3_error *err)
{
    m3_status st;
    if ((st = cli_open_device(&r->c, err)) != M3_OK) return st;
    if ((st = m3_device_open(r->c.engine, r->against_name, (m3_span){0}, &r->against, err)) != M3_OK) return st;
    if ((st = cli_model_open(&r->c, r->data, &r->model, err)) != M3_OK) return st;
    const m3_diverge_options options = {.size = M3_STRUCT_SIZE(m3_diverge_options, fallbacks),
                                        .device = r->c.device,
                                        .against = r->against,
                                        .no_pass = cli_no_pass(&r->c),
                                        .fallbacks = r->c.fallbacks};
    return m3_diverge(&r->model.config, &options, found, err);
}

static const char *const kinds[] = {"none", "op", "operands", "passes"};

static void print_json(const request *r, const m3_divergence *f)
{
    (void)printf("{\"device\": ");
    cli_json_text(m3_device_name(r->c.device));
    (void)printf(", \"against\": ");
    cli_json_text(m3_device_name(r->against));
    (void)printf(", \"diverges\": \"%s\", \"nodes\": %u, \"tensors\": %u, \"share\": ", kinds[f->kind], f->nodes,
                 f->compared);
    cli_json_number(f->share);
    if (f->kind != M3_DIVERGES_NOT) {
        (void)printf(", \"node\": %u, \"op\": ", f->node);
        cli_json_text(f->op);
        (void)printf(", \"scope\": ");
        cli_json_text(f->scope);
        (void)printf(", \"output\": %u, \"tensor\": ", f->output);
        cli_json_text(f->tensor);
        (void)printf(", \"shape\": %s, \"index\": %llu, \"count\": %llu, \"elements\": %llu, \"got\": ", f->shape,
                     (unsigned long long)f->index, (unsigned long long)f->count, (unsigned long long)f->elements);
        cli_json_number(f->got);
        (void)printf(", \"want\": ");
        cli_json_number(f->want);
        (void)printf(", \"error\": ");
        cli_json_number(f->error);
        (void)printf(", \"bound\": ");
        cli_json_number(f->bound);
    }
    (void)printf("}\n");
}

static void print(const request *r, const m3_divergence *f)
{
    const char *device = m3_device_name(r->c.device), *against = m3_device_name(r->against);
    if (f->kind == M3_DIVERGES_NOT) {
        (void)printf("%s agrees with %s: %u nodes one by one, and the step with its passes; largest error %.3f of the "
                     "bound\n",
                     device, against, f->nodes, f->share);
        return;
    }
    if (f->kind == M3_DIVERGES_WITH_PASSES)
        cli_show(stdout, "%s differs from %s in the step with its passes: '%s' %s\n", device, against, f->tensor,
                 f->shape);
    else
        cli_show(stdout, "%s differs from %s from node %u on: %s in '%s', output %u %s\n", device, against, f->node,
                 f->op, f->scope, f->output, f->shape);
    (void)printf("  element %llu is %.9g, on %s %.9g: off by %.3g, allowed %.3g; %llu of %llu elements\n",
                 (unsigned long long)f->index, f->got, against, f->want, f->error, f->bound,
                 (unsigned long long)f->count, (unsigned long long)f->elements);
    if (f->kind == M3_DIVERGES_AT_OP)
        (void)printf("  alone, over the operands of %s, the op is as wrong: look at its kernel\n", against);
    else if (f->kind == M3_DIVERGES_BY_OPERANDS)
        (void)printf("  alone every op is right: errors that its operands had before have grown\n");
    else
        (void)printf("  node by node both agree: look at passes (--no-pass), places in memory and fused kernels\n");
}

int cmd_diverge(int argc, char **argv)
{
    request r = {.against_name = "reference"};
    m3_error err = {0};
    m3_divergence found = {0};
    const cli_option options[] = {
        {"against", CLI_TEXT, &r.against_name, "NAME", "the device that counts as right (default: reference)"},
        {"data", CLI_TEXT, &r.data, "SET", "take behaviors, items, features from this set"},
    };
    const cli_command command = {
        .usage = "diverge [CONFIG] --backend NAME [--against NAME] [options]",
        .about =
            "Run a training step of a model on two devices side by side, and name the first operation whose\n"
            "values differ. All values are kept: a small batch (--set batch=8) serves best. Exit status 1: some do.",
        .groups = CLI_MODEL | CLI_DEVICE | CLI_PASSES,
        .options = options,
        .option_count = sizeof options / sizeof options[0],
        .max_words = 1};
    int status = cli_parse(&r.c, &command, argc, argv);
    if (status != CLI_GO_ON) return status;
    m3_status st = run(&r, &found, &err);
    if (st == M3_OK && r.c.json)
        print_json(&r, &found);
    else if (st == M3_OK)
        print(&r, &found);
    m3_device_close(r.against);
    cli_model_close(&r.model);
    cli_close(&r.c);
    if (st != M3_OK) return cli_report(&err);
    return found.kind == M3_DIVERGES_NOT ? CLI_DONE : CLI_CHECK_FAILED;
}
