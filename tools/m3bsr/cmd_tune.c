/* tune: measure what is faster on a device, for the shapes of a configuration.
 *   m3bsr tune [CONFIG] --backend NAME [--batch N] */
#include <string.h>

#include "m3bsr/bench.h"
#include "tools/m3bsr/cli.h"

static void print_result(const cli *c, const m3_tuning *t)
{
    if (c->json) {
        (void)printf("{\"device\": ");
        cli_json_text(m3_device_name(c->device));
        (void)printf(", \"classes\": %u, \"measured\": %u, \"file\": ", t->classes, t->measured);
        cli_json_text(t->path);
        (void)printf("}\n");
        return;
    }
    (void)printf("%s: %u classes of shapes are known, %u of them measured now; ", m3_device_name(c->device), t->classes,
                 t->measured);
    if (t->path[0] != '\0')
        cli_show(stdout, "kept in %s\n", t->path);
    else
        (void)printf("no file keeps them\n");
}

static m3_status tune(cli *c, m3_tune_options *options, m3_settings **settings, m3_error *err)
{
    m3_status st;
    m3_tuning tuning = {.size = M3_STRUCT_SIZE(m3_tuning, path)};
    if (c->device_option.count == CLI_MAX_LIST)
        return M3_FAIL(err, M3_ERR_INVALID, "--device-option", "is given %d times, which leaves none for tune=yes",
                       CLI_MAX_LIST);
    static char option[] = "tune=yes";
    c->device_option.at[c->device_option.count++] = option;
    if ((st = cli_settings(c, c->count > 0 ? c->words[0] : NULL, settings, err)) != M3_OK) return st;
    if ((st = cli_open_device(c, err)) != M3_OK) return st;
    options->no_pass = cli_no_pass(c);
    options->strict = c->strict;
    options->fallbacks = c->fallbacks;
    if ((st = m3_tune(c->device, *settings, options, &tuning, err)) == M3_OK) print_result(c, &tuning);
    return st;
}

int cmd_tune(int argc, char **argv)
{
    cli c = {0};
    m3_error err = {0};
    m3_settings *settings = NULL;
    m3_tune_options tune_options = {.size = M3_STRUCT_SIZE(m3_tune_options, fallbacks)};
    const cli_option options[] = {
        {"batch", CLI_COUNT, &tune_options.batch, "N", "of training and of inference; default: batch and eval_batch"},
    };
    const cli_command command = {
        .usage = "tune [CONFIG] --backend NAME [options]",
        .about =
            "Measure, for the shapes of a configuration, which kernels are fastest on a device, and keep that for\n"
            "whatever runs on it later. Only backends that have a choice can be tuned.",
        .groups = CLI_MODEL | CLI_DEVICE | CLI_PASSES,
        .options = options,
        .option_count = sizeof options / sizeof options[0],
        .max_words = 1};
    int status = cli_parse(&c, &command, argc, argv);
    if (status != CLI_GO_ON) return status;
    if (c.backend == NULL) {
        (void)fprintf(stderr, "error: which device? m3bsr tune [CONFIG] --backend NAME\n");
        return CLI_BAD_INPUT;
    }
    m3_status st = tune(&c, &tune_options, &settings, &err);
    m3_settings_free(settings);
    const bool unknown = st == M3_ERR_INVALID && c.device == NULL && strcmp(err.subject, "tune") == 0;
    cli_close(&c);
    if (!unknown) return st == M3_OK ? CLI_DONE : cli_report(&err);
    cli_show(stderr, "error: %s chooses nothing by measurement, so there is nothing to tune\n", c.backend);
    return CLI_BAD_INPUT;
}
