/* m3bsr: the command line. It calls the public interface and nothing else.
 *   m3bsr COMMAND ...    results on stdout, everything else on stderr
 * Exit status: 0 done, 1 a check failed, 2 bad usage or input, 3 device or system failure, 130 interrupted. */
#include <signal.h>
#include <string.h>

#include "m3bsr/version.h"
#include "tools/m3bsr/cli.h"

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *about;
} commands[] = {
    {"devices", cmd_devices, "list devices"},
    {"plugins", cmd_plugins, "list plugins in the order of the search, and why one was skipped"},
    {"plugin", cmd_plugin, "write the beginnings of a plugin"},
    {"data", cmd_data, "import, describe or synthesise data"},
    {"train", cmd_train, "train a model as a configuration says"},
    {"checkpoint", cmd_checkpoint, "join the parts that ranks wrote"},
    {"evaluate", cmd_evaluate, "metrics of a run, with baselines beside them"},
    {"recommend", cmd_recommend, "the best items for users"},
    {"trace", cmd_trace, "intermediate values of the model for users"},
    {"graph", cmd_graph, "print the compiled graph"},
    {"bench", cmd_bench, "time a training step or an inference"},
    {"plan", cmd_plan, "say what a training by many ranks would take"},
    {"tune", cmd_tune, "measure what is faster on a device"},
    {"ops", cmd_ops, "describe the built-in operations"},
    {"conformance", cmd_conformance, "check that a backend computes what it should"},
    {"diverge", cmd_diverge, "find the operation at which two devices differ"},
};
enum { COMMANDS = sizeof commands / sizeof commands[0] };

static void print_help(FILE *to)
{
    (void)fprintf(to, "usage: m3bsr COMMAND [options]\n\n");
    for (size_t i = 0; i < COMMANDS; i++) (void)fprintf(to, "  %-12s %s\n", commands[i].name, commands[i].about);
    (void)fprintf(to, "  %-12s %s\n\nm3bsr --version says the version.\n", "help", "help on a command");
}

static const struct command *find(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(name, commands[i].name) == 0) return &commands[i];
    return NULL;
}

static int unknown(const char *name)
{
    cli_show(stderr, "error: there is no command '%s'; there are:", name);
    for (size_t i = 0; i < COMMANDS; i++) cli_show(stderr, " %s", commands[i].name);
    (void)fputc('\n', stderr);
    return CLI_BAD_INPUT;
}

static int help(const char *name)
{
    char option[] = "--help";
    const struct command *command = name != NULL ? find(name) : NULL;
    if (name != NULL && command == NULL) return unknown(name);
    if (name == NULL) {
        print_help(stdout);
        return CLI_DONE;
    }
    char first[32];
    (void)snprintf(first, sizeof first, "%s", command->name);
    char *argv[] = {first, option, NULL};
    return command->run(2, argv);
}

static int run(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    if (strcmp(name, "--version") == 0) {
        (void)printf("m3bsr %s (plugin interface %d.%d)\n", m3_version(), M3_ABI_MAJOR, M3_ABI_MINOR);
        return CLI_DONE;
    }
    if (strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        return help(argc > 2 ? argv[2] : NULL);
    if (argc < 2) {
        print_help(stderr);
        return CLI_BAD_INPUT;
    }
    const struct command *command = find(name);
    return command != NULL ? command->run(argc - 1, argv + 1) : unknown(name);
}

int main(int argc, char **argv)
{
    (void)signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error with its name */
    cli_catch_lost_files();
    cli_watch_memory();
    (void)setvbuf(stderr, NULL, _IOLBF, BUFSIZ); /* a line is written at once: those of several processes do not mix */
    int status = run(argc, argv);
    if (cli_lacks_memory() && status != CLI_SYSTEM && status != CLI_INTERRUPTED) status = cli_no_memory();
    if ((fflush(stdout) != 0 || ferror(stdout)) && status == CLI_DONE) {
        (void)fprintf(stderr, "error: standard output could not be written\n");
        status = CLI_SYSTEM;
    }
    return status;
}
