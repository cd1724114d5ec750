/* conformance: whether a device computes what it should.
 *   m3bsr conformance --backend NAME [--layer ops|gradients|model] [--vectors FILE ...] */
#include <limits.h>
#include <string.h>

#include "m3bsr/conformance.h"
#include "tools/m3bsr/cli.h"

enum { MAX_SHOWN = 10 }; /* findings a file or a layer, without -v */

typedef struct check {
    cli c;
    cli_list layers, vectors;
    const char *cases;
    m3_device *reference;
    uint32_t shown, parts; /* of the file or layer at hand; layers and files so far */
    int status;
} check;

static void worsen(check *k, int status)
{
    if (status > k->status) k->status = status;
}

static bool may_show(check *k)
{
    if (k->c.verbose || k->shown < MAX_SHOWN) {
        k->shown++;
        return true;
    }
    if (k->shown++ == MAX_SHOWN) (void)printf("        … (-v shows all)\n");
    return false;
}

/* Layer model. */

static void on_failure(void *user, const m3_vector_failure *f)
{
    check *k = user;
    if (k->c.json) {
        (void)printf("%s{\"tensor\": ", k->shown++ == 0 ? "" : ", ");
        cli_json_text(f->tensor);
        (void)printf(", \"index\": %llu, \"elements\": %llu, \"got\": ", (unsigned long long)f->index,
                     (unsigned long long)f->count);
        cli_json_number(f->got);
        (void)printf(", \"want\": ");
        cli_json_number(f->want);
        (void)printf(", \"error\": ");
        cli_json_number(f->error);
        (void)printf(", \"bound\": ");
        cli_json_number(f->bound);
        (void)printf("}");
    } else if (may_show(k)) {
        (void)printf("        %s[%llu] is %.9g, wanted %.9g: off by %.3g, allowed %.3g (%llu elements)\n", f->tensor,
                     (unsigned long long)f->index, f->got, f->want, f->error, f->bound, (unsigned long long)f->count);
    }
}

static void print_groups(const check *k, const m3_vector_report *report)
{
    for (uint32_t g = 0; g < M3_VECTOR_GROUPS; g++) {
        const m3_vector_group *group = &report->groups[g];
        const char *name = m3_vector_group_name(g);
        if (k->c.json) {
            (void)printf("%s\"%s\": {\"tensors\": %u, \"failed\": %u, \"error\": ", g == 0 ? "" : ", ", name,
                         group->tensors, group->failed);
            cli_json_number(group->error);
            (void)printf(", \"share\": ");
            cli_json_number(group->share);
            (void)printf(", \"tensor\": ");
            cli_json_text(group->tensor);
            (void)printf("}");
        } else if (group->tensors == 0) {
            (void)printf("  %s: no tensor", name);
        } else {
            (void)printf("  %s %.2g (%.3f of the bound, %s)", name, group->error, group->share, group->tensor);
        }
    }
}

static void check_file(check *k, const char *path)
{
    m3_error err = {0};
    m3_vector_report report = {0};
    const m3_vector_options options = {.size = M3_STRUCT_SIZE(m3_vector_options, user),
                                       .no_pass = cli_no_pass(&k->c),
                                       .strict = k->c.strict,
                                       .fallbacks = k->c.fallbacks,
                                       .failed = on_failure,
                                       .user = k};
    k->shown = 0;
    if (k->c.json) {
        (void)printf("%s{\"layer\": \"model\", \"file\": ", k->parts++ == 0 ? "" : ", ");
        cli_json_text(path);
        (void)printf(", \"failures\": [");
    }
    m3_status st = m3_conformance_vectors(k->c.device, path, &options, &report, &err);
    bool passed = st == M3_OK && report.passed;
    worsen(k, passed ? CLI_DONE : CLI_CHECK_FAILED);
    if (k->c.json) {
        (void)printf("], \"passed\": %s, \"groups\": {", passed ? "true" : "false");
        if (st == M3_OK) print_groups(k, &report);
        (void)printf("}}");
    } else {
        (void)printf("%-7s %s", passed ? "pass" : "FAIL", path);
        if (st == M3_OK) print_groups(k, &report);
        (void)printf("\n");
    }
    if (st != M3_OK) worsen(k, cli_report(&err));
}

/* Layers ops and gradients. */

static void on_case(void *user, const m3_case_report *r)
{
    static const char *const verdicts[] = {"pass", "FAIL", "lacks"};
    check *k = user;
    bool good = r->verdict == M3_VERDICT_PASS;
    if (k->c.json) {
        if (good && !k->c.verbose) return;
        (void)printf("%s{\"case\": ", k->shown++ == 0 ? "" : ", ");
        cli_json_text(r->name);
        (void)printf(", \"verdict\": \"%s\", \"native\": %s, \"share\": ", good ? "pass" : verdicts[r->verdict],
                     r->native ? "true" : "false");
        cli_json_number(r->share);
        (void)printf(", \"text\": ");
        cli_json_text(r->text);
        (void)printf("}");
    } else if ((!good || k->c.verbose) && may_show(k)) {
        (void)printf("        %-5s %s%s%s\n", verdicts[r->verdict], r->name, r->text[0] != '\0' ? ": " : "", r->text);
    }
}

static m3_status open_reference(check *k, m3_error *err)
{
    if (k->reference != NULL) return M3_OK;
    return m3_device_open(k->c.engine, "reference", (m3_span){0}, &k->reference, err);
}

static void check_cases(check *k, const char *layer, uint64_t seed)
{
    m3_error err = {0};
    m3_cases_report r = {0};
    const m3_cases_options options = {.size = M3_STRUCT_SIZE(m3_cases_options, user),
                                      .gradients = strcmp(layer, "gradients") == 0,
                                      .pattern = k->cases,
                                      .seed = seed,
                                      .done = on_case,
                                      .user = k};
    k->shown = 0;
    if (k->c.json) (void)printf("%s{\"layer\": \"%s\", \"cases\": [", k->parts++ == 0 ? "" : ", ", layer);
    m3_status st = open_reference(k, &err);
    if (st == M3_OK) st = m3_conformance_cases(k->c.device, k->reference, &options, &r, &err);
    bool passed = st == M3_OK && r.failed == 0 && r.lacking == 0;
    worsen(k, passed ? CLI_DONE : CLI_CHECK_FAILED);
    if (k->c.json) {
        (void)printf("], \"passed\": %s, \"version\": %u, \"seed\": %llu, \"run\": %u, \"pass\": %u, \"fail\": %u, "
                     "\"lacks\": %u, \"native\": %u, \"share\": ",
                     passed ? "true" : "false", r.version, (unsigned long long)seed, r.run, r.passed, r.failed,
                     r.lacking, r.native);
        cli_json_number(r.share);
        (void)printf("}");
    } else if (st == M3_OK) {
        (void)printf("%-7s %s on %s: %u cases (list %u, seed %llu): %u pass, %u fail, %u lack; %u native; largest "
                     "error %.3f of the bound\n",
                     passed ? "pass" : "FAIL", layer,
                     options.gradients ? m3_device_name(k->reference) : m3_device_name(k->c.device), r.run, r.version,
                     (unsigned long long)seed, r.passed, r.failed, r.lacking, r.native, r.share);
        if (k->shown > 0 && !passed)
            (void)printf("        again, one of them: m3bsr conformance --backend %s --layer %s --cases 'NAME' "
                         "--case-seed %llu\n",
                         m3_device_name(k->c.device), layer, (unsigned long long)seed);
    }
    if (st != M3_OK) worsen(k, cli_report(&err));
}

/* The command. */

static bool wants(const check *k, const char *layer)
{
    for (uint32_t i = 0; i < k->layers.count; i++)
        if (strcmp(k->layers.at[i], layer) == 0) return true;
    /* Without a choice: vector files alone when they are given, else all that needs none. */
    if (k->layers.count > 0) return false;
    bool files = k->vectors.count > 0 || k->c.count > 0;
    return strcmp(layer, "model") == 0 ? files : !files;
}

static int check_usage(const check *k)
{
    for (uint32_t i = 0; i < k->layers.count; i++) {
        const char *layer = k->layers.at[i];
        if (strcmp(layer, "ops") == 0 || strcmp(layer, "gradients") == 0 || strcmp(layer, "model") == 0) continue;
        (void)fprintf(stderr, "error: there is no layer '%s'; there are: ops gradients model\n", layer);
        return CLI_BAD_INPUT;
    }
    bool files = k->vectors.count > 0 || k->c.count > 0;
    if (wants(k, "model") && !files) {
        (void)fprintf(stderr, "error: which files? m3bsr conformance --layer model --vectors FILE ...\n");
        return CLI_BAD_INPUT;
    }
    if (!wants(k, "model") && files) {
        (void)fprintf(stderr, "error: vector files are for --layer model\n");
        return CLI_BAD_INPUT;
    }
    return CLI_GO_ON;
}

static void run(check *k, uint64_t seed)
{
    m3_error err = {0};
    if (cli_open_device(&k->c, &err) != M3_OK) {
        k->status = cli_report(&err);
        return;
    }
    if (k->c.json) {
        (void)printf("{\"device\": ");
        cli_json_text(m3_device_name(k->c.device));
        (void)printf(", \"checks\": [");
    }
    if (wants(k, "ops")) check_cases(k, "ops", seed);
    if (wants(k, "gradients")) check_cases(k, "gradients", seed);
    if (wants(k, "model")) {
        for (uint32_t i = 0; i < k->vectors.count; i++) check_file(k, k->vectors.at[i]);
        for (int i = 0; i < k->c.count; i++) check_file(k, k->c.words[i]);
    }
    if (k->c.json) (void)printf("], \"passed\": %s}\n", k->status == CLI_DONE ? "true" : "false");
}

int cmd_conformance(int argc, char **argv)
{
    check k = {0};
    uint32_t seed = 1;
    const cli_option options[] = {
        {"layer", CLI_LIST, &k.layers, "NAME", "ops, gradients or model; may be repeated"},
        {"vectors", CLI_LIST, &k.vectors, "FILE ...", "vector files of layer model"},
        {"cases", CLI_TEXT, &k.cases, "PATTERN", "ops, gradients: only cases whose names match; * and ? are wild"},
        {"case-seed", CLI_COUNT, &seed, "N", "ops, gradients: of the numbers (default 1)"},
    };
    const cli_command command = {
        .usage = "conformance --backend NAME [--layer ops] [--layer gradients]\n"
                 "conformance --backend NAME --layer model --vectors FILE [FILE ...]",
        .about = "Check that a device computes what it should: every op against the double-precision reference,\n"
                 "every gradient against slopes, and the model against vector files. Exit status 1: not so.",
        .groups = CLI_DEVICE | CLI_PASSES,
        .options = options,
        .option_count = sizeof options / sizeof options[0],
        .max_words = INT_MAX};
    int status = cli_parse(&k.c, &command, argc, argv);
    if (status == CLI_GO_ON) status = check_usage(&k);
    if (status != CLI_GO_ON) return status;
    run(&k, seed);
    m3_device_close(k.reference);
    cli_close(&k.c);
    return k.status;
}
