/* devices: what can be given to --backend.
 *   m3bsr devices [--json] */
#include "tools/m3bsr/child.h"
#include "tools/m3bsr/cli.h"
#include "tools/m3bsr/probe.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_DEVICES = 64 };

static void print_json(const m3_device_entry *e, const m3_device_limits *limits, const m3_error *why)
{
    (void)printf("{\"name\": ");
    cli_json_text(e->name);
    (void)printf(", \"class\": ");
    cli_json_text(cli_class_name(e->info.device_class));
    (void)printf(", \"device\": ");
    cli_json_text(e->info.name);
    (void)printf(", \"driver\": ");
    cli_json_text(e->info.driver);
    (void)printf(", \"features\": ");
    cli_json_text(e->info.features);
    (void)printf(", \"memory_total\": %llu, \"memory_free\": %llu, \"largest_buffer\": %llu, \"error\": ",
                 (unsigned long long)limits->memory_total, (unsigned long long)limits->memory_free,
                 (unsigned long long)limits->largest_buffer);
    if (why->code == M3_OK)
        (void)printf("null}");
    else {
        cli_json_text(why->message);
        (void)printf("}");
    }
}

static void print_text(const m3_device_entry *e, const m3_device_limits *limits, const m3_error *why)
{
    cli_show(stdout, "%-14s %-11s %s\n", e->name, cli_class_name(e->info.device_class), e->info.name);
    cli_show(stdout, "%-14s %-11s driver    %s\n", "", "", e->info.driver);
    if (e->info.features[0] != '\0') cli_show(stdout, "%-14s %-11s features  %s\n", "", "", e->info.features);
    if (why->code != M3_OK)
        cli_show(stdout, "%-14s %-11s does not open: %s\n", "", "", why->message);
    else if (limits->memory_total > 0)
        (void)printf("%-14s %-11s memory    %.1f GiB, %.1f free\n", "", "", (double)limits->memory_total / (1 << 30),
                     (double)limits->memory_free / (1 << 30));
}

/* With -v: what --device-option takes, for each backend that is loaded, whether it has a device or not. */
static void print_options(const cli *c, const char *backend)
{
    const m3_span options = m3_engine_backend_options(c->engine, backend);
    if (options.count == 0) return;
    (void)printf("\noptions of %s, for --device-option KEY=VALUE:\n", backend);
    for (uint32_t i = 0; i < options.count; i++) {
        const m3_option_desc *o = m3_span_at(options, i);
        char takes[128];
        m3_option_takes(o, takes, sizeof takes);
        (void)printf("  %-14s %s%s%s%s\n  %-14s %s\n", o->key, takes, o->fallback[0] != '\0' ? " (default " : "",
                     o->fallback, o->fallback[0] != '\0' ? ")" : "", "", o->help);
    }
}

static void print_all_options(const cli *c)
{
    for (uint32_t i = 0; i < m3_engine_plugin_count(c->engine); i++) {
        m3_plugin_report report = {.size = M3_STRUCT_SIZE(m3_plugin_report, reason)};
        m3_engine_plugin(c->engine, i, &report);
        if (report.loaded && strcmp(report.kind, "backend") == 0) print_options(c, report.name);
    }
}

/* Opened as well: a device that is listed may still not work. For lack of memory that says nothing of the device, and
 * is the command's status. */
static int show(cli *c, const m3_device_entry *e, bool first)
{
    m3_device_limits limits = {.size = M3_STRUCT_SIZE(m3_device_limits, coherent)};
    m3_error why = {0};
    m3_device *device = NULL;
    if (m3_device_open(c->engine, e->name, (m3_span){0}, &device, &why) == M3_OK)
        (void)m3_device_get_limits(device, &limits, &why);
    m3_device_close(device);
    if (c->json) (void)printf("%s", first ? "" : ", ");
    (c->json ? print_json : print_text)(e, &limits, &why);
    return why.code == M3_ERR_MEMORY ? cli_report(&why) : CLI_DONE;
}

static int list(cli *c)
{
    m3_error err = {0};
    m3_device_entry entries[MAX_DEVICES];
    uint32_t count = 0;
    for (uint32_t i = 0; i < MAX_DEVICES; i++)
        entries[i].info = (m3_device_info){.size = M3_STRUCT_SIZE(m3_device_info, features)};
    m3_status st = cli_open_engine(c, &err);
    if (st == M3_OK) st = m3_engine_devices(c->engine, entries, MAX_DEVICES, &count, &err);
    if (st != M3_OK) return cli_report(&err);
    if (c->json) (void)printf("{\"devices\": [");
    int status = CLI_DONE;
    for (uint32_t i = 0; i < count && i < MAX_DEVICES; i++) {
        const int shown = show(c, &entries[i], i == 0);
        if (shown > status) status = shown;
    }
    if (c->json) (void)printf("]}\n");
    if (c->verbose && !c->json) print_all_options(c);
    if (count == 0 && !c->quiet) (void)fprintf(stderr, "no device; see m3bsr plugins\n");
    return status;
}

int cmd_devices(int argc, char **argv)
{
    cli c = {0};
    uint32_t timeout = 60;
    char *role = child_role(), **words = child_copy_words(argc, argv);
    const cli_option options[] = {
        {"timeout", CLI_COUNT, &timeout, "SECONDS",
         "that a backend may take to open, list or open a device (default 60)"},
    };
    const cli_command command = {.usage = "devices [options]",
                                 .about = "List the devices of all backends: what --backend takes. With -v, also the "
                                          "options of each\nbackend: what --device-option takes. A backend that "
                                          "crashes, exits or hangs is named and left out.",
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
