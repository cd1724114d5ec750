/* conformance_collectives: whether a collectives plugin moves bytes as its interface promises.
 *   m3bsr conformance collectives NAME [--ranks N]     N ranks of this process
 *   mpirun -n N m3bsr conformance collectives NAME     a rank for each process; that of rank 0 prints */
#include "tools/m3bsr/conformance.h"

static void show(void *user, const m3_collectives_finding *f)
{
    check *k = user;
    if (f->first != 0) return;
    if (k->c.json) {
        (void)printf("%s{\"case\": ", k->shown++ == 0 ? "{\"layer\": \"collectives\", \"cases\": [" : ", ");
        cli_json_text(f->name);
        (void)printf(", \"verdict\": \"%s\", \"text\": ", f->passed ? "pass" : "FAIL");
        cli_json_text(f->text);
        (void)printf(", \"about\": ");
        cli_json_text(f->about);
        (void)printf("}");
    } else if (!f->passed || k->c.verbose) {
        (void)printf("        %-5s %s: %s\n", f->passed ? "pass" : "FAIL", f->name, f->passed ? f->about : f->text);
    }
}

static void conclude(const check *k, const m3_collectives_report *r)
{
    if (r->first != 0) return;
    if (k->c.json) {
        (void)printf("], \"passed\": %s, \"run\": %u, \"fail\": %u, \"ranks\": %u, \"moved_by\": ",
                     r->failed == 0 ? "true" : "false", r->run, r->failed, r->ranks);
        cli_json_text(r->name);
        (void)printf("}\n");
    } else {
        (void)printf("%-7s collectives on %u rank%s (%s): %u checks: %u pass, %u fail\n",
                     r->failed == 0 ? "pass" : "FAIL", r->ranks, r->ranks == 1 ? "" : "s", r->name, r->run,
                     r->run - r->failed, r->failed);
    }
}

int check_collectives(int argc, char **argv)
{
    check k = {.timeout = 60};
    m3_error err = {0};
    m3_collectives_report report;
    uint32_t ranks = 1;
    const cli_option options[] = {
        {"ranks", CLI_COUNT, &ranks, "N", "of this process (default 1)"},
        {"timeout", CLI_COUNT, &k.timeout, "SECONDS", "that a rank may be silent (default 60)"},
    };
    const cli_command command = {
        .usage = "conformance collectives NAME [--ranks N]",
        .about = "Check that a collectives plugin moves bytes between ranks as its interface promises. Ranks of one\n"
                 "process also try what becomes of the others when one fails or is silent. Exit status 1: not so.",
        .groups = CLI_PLUGINS,
        .options = options,
        .option_count = sizeof options / sizeof options[0],
        .min_words = 1,
        .max_words = 1};
    int status = cli_parse(&k.c, &command, argc, argv);
    if (status == CLI_GO_ON) {
        const m3_collectives_options how = {.size = M3_STRUCT_SIZE(m3_collectives_options, user),
                                            .here = ranks,
                                            .seconds = k.timeout,
                                            .done = show,
                                            .user = &k};
        m3_status st = cli_open_engine(&k.c, &err);
        if (st == M3_OK) st = m3_conformance_collectives(k.c.engine, k.c.words[0], &how, &report, &err);
        if (st == M3_OK) conclude(&k, &report);
        status = st != M3_OK ? cli_report(&err) : report.failed > 0 ? CLI_CHECK_FAILED : CLI_DONE;
    }
    cli_close(&k.c);
    return status;
}
