/* checkpoint: what can be done with the checkpoints of a run.
 *   m3bsr checkpoint join RUN [--out FILE] [--checkpoint FILE] */
#include <string.h>

#include "m3bsr/train.h"
#include "tools/m3bsr/cli.h"

static void print_joined(const cli *c, const char *path, const char *out, uint32_t parts, bool first)
{
    if (c->json) {
        (void)printf("%s{\"checkpoint\": ", first ? "" : ", ");
        cli_json_text(path);
        (void)printf(", \"file\": ");
        cli_json_text(out);
        (void)printf(", \"parts\": %u}", parts);
    } else if (parts == 0) {
        cli_show(stdout, "%s: is one file%s%s\n", path, strcmp(path, out) != 0 ? ", copied to " : "",
                 strcmp(path, out) != 0 ? out : "");
    } else {
        cli_show(stdout, "%s: %u parts joined%s%s\n", path, parts, strcmp(path, out) != 0 ? " to " : "",
                 strcmp(path, out) != 0 ? out : "");
    }
}

static void print_in_place(const cli *c, const char *run, const m3_joined *joined)
{
    char path[4096];
    if (joined->best) {
        (void)snprintf(path, sizeof path, "%s/best.safetensors", run);
        print_joined(c, path, path, joined->best_parts, true);
    }
    if (joined->last) {
        (void)snprintf(path, sizeof path, "%s/last.safetensors", run);
        print_joined(c, path, path, joined->last_parts, !joined->best);
    }
}

static int join(int argc, char **argv)
{
    m3_error err = {0};
    cli c = {0};
    const char *out = NULL, *checkpoint = NULL;
    const cli_option options[] = {
        {"out", CLI_TEXT, &out, "FILE", "the file to write; default: best.safetensors and last.safetensors themselves"},
        {"checkpoint", CLI_TEXT, &checkpoint, "FILE", "with --out; default: the run's best.safetensors, else the last"},
    };
    const cli_command command = {
        .usage = "checkpoint join RUN [--out FILE] [--checkpoint FILE]",
        .about =
            "Make one safetensors file of a checkpoint whose parts several ranks wrote, for other tools. The other\n"
            "commands take it either way.",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
        .min_words = 1,
        .max_words = 1};
    int status = cli_parse(&c, &command, argc, argv);
    if (status != CLI_GO_ON) return status;
    if (checkpoint != NULL && out == NULL) {
        (void)fputs("error: --checkpoint goes with --out, as that file stays as it is; give --out FILE\n", stderr);
        return CLI_BAD_INPUT;
    }
    const char *run = c.words[0];
    uint32_t parts = 0;
    m3_joined joined = {.size = M3_STRUCT_SIZE(m3_joined, last_parts)};
    const m3_status st =
        out != NULL ? m3_checkpoint_join(run, checkpoint, out, &parts, &err) : m3_run_join(run, &joined, &err);
    if (st == M3_OK) {
        if (c.json) (void)printf("{\"joined\": [");
        if (out != NULL)
            print_joined(&c, checkpoint != NULL ? checkpoint : run, out, parts, true);
        else
            print_in_place(&c, run, &joined);
        if (c.json) (void)printf("]}\n");
    }
    cli_close(&c);
    return st == M3_OK ? CLI_DONE : cli_report(&err);
}

int cmd_checkpoint(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    if (strcmp(name, "join") == 0) return join(argc - 1, argv + 1);
    if (strcmp(name, "--help") != 0 && strcmp(name, "-h") != 0) {
        (void)fputs("usage: m3bsr checkpoint join RUN [--out FILE] [--checkpoint FILE]\n", stderr);
        return CLI_BAD_INPUT;
    }
    char first[] = "join", help[] = "--help";
    return join(2, (char *[]){first, help, NULL});
}
