/* cli: what the commands of m3bsr have in common. Each command is one file cmd_NAME.c with one entry. */
#ifndef M3_TOOLS_CLI_H
#define M3_TOOLS_CLI_H

#include "m3bsr/settings.h"

enum { CLI_DONE = 0, CLI_CHECK_FAILED = 1, CLI_BAD_INPUT = 2, CLI_SYSTEM = 3, CLI_INTERRUPTED = 130 };

/** Print "error: SUBJECT: message  [file:line]" to stderr and return the exit status of the error's code
 * (m3bsr(1), EXIT STATUS: 2 bad usage or input, 3 device or system failure, 130 interrupted). */
int cli_report(const m3_error *err);
/** The exit status alone. */
int cli_status(m3_status st);
/** Print a text that may have come from a file: what would move the cursor of a terminal, colour it or turn its writing
 * round appears as \xNN or \u{NNNN}, and so does what is not UTF-8. */
void cli_print_safe(FILE *to, const char *text);
/** fprintf() of a line, or of a part of one, with texts that may have come from a file, a device or a command line: all
 * of it is printed as cli_print_safe() does, but for a newline at the end of the format. Any thread may. */
void cli_show(FILE *to, const char *format, ...) M3_PRINTF(2, 3);
/** From now on a mapped file that somebody cuts short, or writes to so that the process would crash, ends it with a
 * message that names the file, and status 3. */
void cli_catch_lost_files(void);
/** From now on it is noticed when there is no memory for JSON. */
void cli_watch_memory(void);
/** malloc(), watched likewise; free(). */
void *cli_allocate(size_t bytes);
/** Was there a request that failed? Then what was made of it may lack a part. */
bool cli_lacks_memory(void);
/** Say that memory ran out. Returns CLI_SYSTEM. */
int cli_no_memory(void);
/** Print `before` and a line to stderr, the line safely. Any thread may: lines do not mix. */
void cli_say(const char *before, const char *line);

/* Options. */

enum { CLI_MAX_LIST = 64 };

/** Texts of an option that takes several; at[count] is NULL. Starts as {0}. */
typedef struct cli_list {
    char *at[CLI_MAX_LIST + 1];
    uint32_t count;
} cli_list;

/** What an option's argument is, and the type that `to` points to. */
typedef enum cli_kind {
    CLI_FLAG,   /**< bool: no argument */
    CLI_SWITCH, /**< cli_switch: no argument, or the word auto */
    CLI_TEXT,   /**< const char * */
    CLI_COUNT,  /**< uint32_t, 1 or more */
    CLI_NUMBER, /**< uint32_t */
    CLI_WHOLE,  /**< uint64_t */
    CLI_REAL,   /**< double */
    CLI_LIST,   /**< cli_list: a text each time that the option is given */
    CLI_NAMES   /**< cli_list: texts between commas */
} cli_kind;

typedef enum cli_switch { CLI_OFF, CLI_ON, CLI_AUTO } cli_switch;

/** The one description of an option: parsing, the help and messages about a wrong argument come from it. */
typedef struct cli_option {
    const char *name; /**< without the dashes */
    cli_kind kind;
    void *to;
    const char *argument; /**< what help calls it, NULL for a flag */
    const char *help;     /**< one line, without a full stop */
} cli_option;

/** Groups of options that several commands have. */
enum {
    CLI_DEVICE = 1u << 0, /**< --backend --device-option --threads --plugin-path */
    CLI_MODEL = 1u << 1,  /**< --set --seed */
    CLI_PASSES = 1u << 2, /**< --no-pass --strict */
    CLI_PLUGINS = 1u << 3 /**< --plugin-path alone */
};

/** What watches the devices of a command (watch.c). */
typedef struct cli_watch cli_watch;

/** What was shown of something that takes seconds (progress.c). */
typedef struct cli_progress {
    bool quiet, bar, shown; /**< show nothing; on a terminal; at all */
    int64_t began, drawn;   /**< milliseconds */
    _Atomic uint64_t heard; /**< when it was told last, in nanoseconds; 0: never */
} cli_progress;

/** One invocation: its options, and what they open. Starts as {0}, ends with cli_close(). */
typedef struct cli {
    const char *backend, *plugin_path, *seed;
    uint32_t threads;
    cli_list device_option, set, no_pass;
    bool json, quiet, verbose, strict;
    int count; /**< words that are no options */
    char **words;
    m3_engine *engine;
    m3_device *device, *others[2];
    m3_span fallbacks; /**< m3_device *: others that take what the device refuses; none with --strict */
    bool told;         /**< a child: its parent hears of every plugin that is touched */
    m3_span avoid;     /**< m3_plugin_avoid: files that are not touched */
    cli_watch *watch;
    cli_progress progress;
    uint32_t stall;     /**< seconds in which nothing comes back from a device that end the command; 0: none do */
    volatile int *stop; /**< with stall: set when they are over; the command has as long again to save and end */
} cli;

typedef struct cli_command {
    const char *usage; /**< "train CONFIG --out RUN", lines joined by '\n' */
    const char *about; /**< one sentence */
    uint32_t groups;
    const cli_option *options; /**< the command's own */
    uint32_t option_count;
    int min_words, max_words;
} cli_command;

enum { CLI_GO_ON = -1 };

/** Read the options and words of a command; argv[0] is its name. Returns CLI_GO_ON, or the exit status after help or
 * a message. */
int cli_parse(cli *c, const cli_command *command, int argc, char **argv);

/** The texts of a list, ended by NULL. */
const char *const *cli_list_texts(const cli_list *list);
/** A whole number that fills all of the text. */
bool cli_count(const char *text, uint32_t *number);

/* Engine, device. */

/** Load the plugins. */
m3_status cli_open_engine(cli *c, m3_error *err);
/** Load the plugins and open the device of --backend, and the fallbacks. */
m3_status cli_open_device(cli *c, m3_error *err);
void cli_close(cli *c);
/** --device-option KEY=VALUE, cut apart into `text`, which the options borrow; free(). Fills as many as c has. */
m3_status cli_device_options(const cli *c, char **text, m3_option options[CLI_MAX_LIST], m3_error *err);
/** Say on stderr, without -q, when a device does not open, or gives nothing back, for as many seconds as the variable
 * M3BSR_PATIENCE says, else 30. cli_open_device() and cli_close() call these. Ends the process, with status 3, when a
 * device does not open within c->stall seconds, or gives nothing back for twice as long. */
void cli_watch_opening(cli *c, const char *device);
void cli_watch_devices(cli *c);
void cli_watch_end(cli *c);
/** Did c->stall end the command? */
bool cli_stalled(const cli *c);
/** Show on stderr how far a device is; user: cli_progress. cli_open_engine() hands it over, without -q. */
void cli_show_progress(void *user, const char *what, uint32_t done, uint32_t total);
/** The names given with --no-pass, ended by NULL. */
const char *const *cli_no_pass(const cli *c);

/** The settings of a file, or all defaults for NULL, with --set and --seed over them.
 * @param settings  Yours, m3_settings_free(). */
m3_status cli_settings(const cli *c, const char *path, m3_settings **settings, m3_error *err);
/** --set and --seed over settings that are there. */
m3_status cli_apply_settings(const cli *c, m3_settings *settings, m3_error *err);

/** The model that a command's first word configures, all defaults without one. Starts as {0}, ends with
 * cli_model_close(). */
typedef struct cli_model {
    m3_settings *settings;
    m3_dataset *set; /**< NULL: sizes are those that are written */
    m3_model_config config;
} cli_model;

/** @param data  A set whose sizes count; NULL: the settings' own, if they name one. The engine must be open. */
m3_status cli_model_open(const cli *c, const char *data, cli_model *model, m3_error *err);
void cli_model_close(cli_model *model);

/* JSON on stdout. */

/** A text in quotes. It must be UTF-8. */
void cli_json_text(const char *text);
/** A number; null for NaN and infinity, which JSON lacks. */
void cli_json_number(double number);
/** "discrete", ... */
const char *cli_class_name(m3_device_class class);

/** One entry a command; argv[0] is the command's own name. Returns the exit status. */
int cmd_bench(int argc, char **argv);
int cmd_checkpoint(int argc, char **argv);
int cmd_conformance(int argc, char **argv);
int cmd_data(int argc, char **argv);
int cmd_diverge(int argc, char **argv);
int cmd_devices(int argc, char **argv);
int cmd_evaluate(int argc, char **argv);
int cmd_graph(int argc, char **argv);
int cmd_ops(int argc, char **argv);
int cmd_plan(int argc, char **argv);
int cmd_plugin(int argc, char **argv);
int cmd_plugins(int argc, char **argv);
int cmd_recommend(int argc, char **argv);
int cmd_trace(int argc, char **argv);
int cmd_train(int argc, char **argv);
int cmd_tune(int argc, char **argv);

#endif
