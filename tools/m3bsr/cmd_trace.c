/* trace: intermediate values of the model for users, as a file of tensors.
 *   m3bsr trace RUN --users A,B|@FILE --out FILE [--tensors a,b] [--history FILE] */
#include <string.h>

#include "m3bsr/serve.h"
#include "tools/m3bsr/users.h"

typedef struct request {
    cli c;
    m3_serve_options serve;
    cli_users users;
    cli_list tensors;
    const char *out;
    m3_served *served;
} request;

static m3_status trace(request *r, m3_error *err)
{
    m3_status st;
    if ((st = cli_open_device(&r->c, err)) != M3_OK) return st;
    r->serve.no_pass = cli_no_pass(&r->c);
    r->serve.strict = r->c.strict;
    r->serve.fallbacks = r->c.fallbacks;
    if ((st = m3_serve(r->c.device, r->c.words[0], &r->serve, &r->served, err)) != M3_OK) return st;
    if ((st = cli_users_read(&r->users, m3_served_dataset(r->served), &r->c, err)) != M3_OK) return st;
    return m3_trace_users(r->served, r->users.histories, r->users.numbers, r->users.count,
                          r->tensors.count > 0 ? cli_list_texts(&r->tensors) : NULL, r->out, err);
}

static void print_result(const request *r)
{
    if (!r->c.json) {
        cli_show(stdout, "%s: %u users\n", r->out, r->users.count);
        return;
    }
    (void)printf("{\"out\": ");
    cli_json_text(r->out);
    (void)printf(", \"users\": %u}\n", r->users.count);
}

static int check_usage(const request *r)
{
    const char *const *known = m3_trace_tensors();
    if (!cli_users_given(&r->users, "trace RUN --out FILE")) return CLI_BAD_INPUT;
    if (r->out == NULL) {
        (void)fprintf(stderr, "error: where to? m3bsr trace RUN --users A,B|@FILE --out FILE\n");
        return CLI_BAD_INPUT;
    }
    for (uint32_t i = 0; i < r->tensors.count; i++) {
        bool found = false;
        for (size_t k = 0; known[k] != NULL; k++) found = found || strcmp(known[k], r->tensors.at[i]) == 0;
        if (found) continue;
        cli_show(stderr, "error: --tensors cannot be '%s'; there are", r->tensors.at[i]);
        for (size_t k = 0; known[k] != NULL; k++) cli_show(stderr, "%s %s", k == 0 ? "" : ",", known[k]);
        (void)fputc('\n', stderr);
        return CLI_BAD_INPUT;
    }
    return CLI_GO_ON;
}

int cmd_trace(int argc, char **argv)
{
    m3_error err = {0};
    request r = {.serve = {.size = M3_STRUCT_SIZE(m3_serve_options, precision)}};
    const cli_option options[] = {
        CLI_USERS_OPTIONS(r.users),
        {"out", CLI_TEXT, &r.out, "FILE", "the file to write, in the format safetensors"},
        {"tensors", CLI_NAMES, &r.tensors, "A,B",
         "of ids, encoded, after_modality, after_behavior, specific,\n"
         "                             common, gate, user, scores; default: all but scores"},
        {"checkpoint", CLI_TEXT, &r.serve.checkpoint, "FILE", "default: the run's best.safetensors, else the last"},
        {"data", CLI_TEXT, &r.serve.data, "SET", "another data set file than the run's"},
        {"precision", CLI_TEXT, &r.serve.precision, "TYPE", "f32, bf16 or f16, in the place of the run's key"},
    };
    const cli_command command = {
        .usage = "trace RUN --users A,B|@FILE --out FILE [options]\n"
                 "trace RUN --history FILE --out FILE [--users A,B|@FILE] [options]",
        .about =
            "Write intermediate values of the model for users, after all of their history: what the encoders give,\n"
            "after each denoiser, every interest, the router's weights. Names are those of vector files.",
        .groups = CLI_DEVICE | CLI_PASSES,
        .options = options,
        .option_count = sizeof options / sizeof options[0],
        .min_words = 1,
        .max_words = 1};
    int status = cli_parse(&r.c, &command, argc, argv);
    if (status == CLI_GO_ON) status = check_usage(&r);
    if (status != CLI_GO_ON) return status;
    m3_status st = trace(&r, &err);
    if (st == M3_OK) print_result(&r);
    cli_users_fini(&r.users);
    m3_served_free(r.served);
    cli_close(&r.c);
    return st == M3_OK ? CLI_DONE : cli_report(&err);
}
