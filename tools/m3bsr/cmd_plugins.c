/* plugins: every file and folder that the search met, in its order, with a verdict.
 *   m3bsr plugins [--json] */
#include <stdlib.h>

#include "tools/m3bsr/child.h"
#include "tools/m3bsr/cli.h"
#include "tools/m3bsr/probe.h"

static void print_json(const m3_plugin_report *r, bool first)
{
    (void)printf("%s{\"path\": ", first ? "" : ", ");
    cli_json_text(r->path);
    (void)printf(", \"kind\": ");
    cli_json_text(r->kind);
    (void)printf(", \"name\": ");
    cli_json_text(r->name);
    (void)printf(", \"version\": ");
    cli_json_text(r->version);
    (void)printf(", \"loaded\": %s, \"reason\": ", r->loaded ? "true" : "false");
    cli_json_text(r->reason);
    (void)printf("}");
}

static void print_text(const m3_plugin_report *r)
{
    cli_show(stdout, "%-8s %-11s %-14s %-8s %s\n", r->loaded ? "loaded" : "skipped", r->kind[0] != '\0' ? r->kind : "-",
             r->name[0] != '\0' ? r->name : "-", r->version[0] != '\0' ? r->version : "-", r->path);
    if (r->reason[0] != '\0') cli_show(stdout, "         because: %s\n", r->reason);
}

/* What a module adds to the keys of a configuration. */
static void print_options(const cli *c, const m3_plugin_report *r)
{
    static const struct {
        const char *kind;
        m3_plugin_kind id;
    } kinds[] = {{"encoder", M3_PLUGIN_ENCODER}, {"expert", M3_PLUGIN_EXPERT}};
    const m3_module_api *module = NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (r->loaded && r->kind[0] == kinds[i].kind[0] && r->kind[1] == kinds[i].kind[1])
            (void)m3_engine_module(c->engine, kinds[i].id, r->name, &module, NULL);
    for (uint32_t i = 0; module != NULL && i < module->options.count; i++) {
        const m3_option_desc *o = m3_span_at(module->options, i);
        cli_show(stdout, "         key %s (default %s): %s\n", o->key, o->fallback, o->help);
    }
}

static int list(cli *c)
{
    m3_error err = {0};
    m3_status st = cli_open_engine(c, &err);
    if (st == M3_OK && c->json) (void)printf("{\"plugins\": [");
    for (uint32_t i = 0; st == M3_OK && i < m3_engine_plugin_count(c->engine); i++) {
        m3_plugin_report report = {.size = M3_STRUCT_SIZE(m3_plugin_report, reason)};
        m3_engine_plugin(c->engine, i, &report);
        if (c->json)
            print_json(&report, i == 0);
        else
            print_text(&report);
        if (c->verbose && !c->json) print_options(c, &report);
    }
    if (st == M3_OK && c->json) (void)printf("]}\n");
    return st == M3_OK ? CLI_DONE : cli_report(&err);
}

int cmd_plugins(int argc, char **argv)
{
    cli c = {0};
    uint32_t timeout = 60;
    char *role = child_role(), **words = child_copy_words(argc, argv);
    const cli_option options[] = {
        {"timeout", CLI_COUNT, &timeout, "SECONDS", "that a plugin may take to load (default 60)"},
    };
    const cli_command command = {
        .usage = "plugins [options]",
        .about = "List what the search for plugins met, in its order, and why a file was skipped. With -v, also the\n"
                 "keys that encoders and experts read from a configuration. A plugin that crashes, exits or hangs is\n"
                 "listed as skipped.",
        .groups = CLI_PLUGINS,
        .options = options,
        .option_count = sizeof options / sizeof options[0]};
    int status = words != NULL ? cli_parse(&c, &command, argc, argv) : cli_no_memory();
    if (status == CLI_GO_ON && role == NULL) {
        status = probe_run(words, timeout);
    } else if (status == CLI_GO_ON) {
        probe_begin(&c, role);
        status = list(&c);
        probe_end(status);
    }
    cli_close(&c);
    free(words);
    return status;
}
