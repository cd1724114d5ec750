/* Every command's --json is one JSON document on standard output, alone, with the keys that scripts rely on. */
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/m3bsr-json-XXXXXX";

/* Standard output of `m3bsr ARGUMENTS`, run in the folder; its status is checked. */
static char *output_of(const char *arguments, int want)
{
    char command[1024];
    const char *tool = getenv("M3BSR");
    assert_non_null(tool);
    (void)snprintf(command, sizeof command, "cd %s && '%s' %s 2>said", folder, tool, arguments);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    char *text = calloc(1, 1 << 22);
    assert_non_null(text);
    (void)fread(text, 1, (1 << 22) - 1, pipe);
    const int status = pclose(pipe);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != want) fail_msg("m3bsr %s: status %d: %s", arguments, status, text);
    return text;
}

static int set_up(void **state)
{
    (void)state;
    static const char *const steps[] = {
        "data synth --out source --users 60 --items 40 --clusters 3 --width 4",
        "data import source --out set",
        "data describe set >/dev/null",
    };
    assert_non_null(mkdtemp(folder));
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) free(output_of(steps[i], 0));
    char path[64];
    (void)snprintf(path, sizeof path, "%s/config.yaml", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    (void)fputs("data: set\nwidth: 8\nheads: 1\nexpert: pool\nlength: 5\nepochs: 1\nbatch: 32\n"
                "diffusion_steps: 8\ninfer_start: 4\n",
                file);
    assert_int_equal(fclose(file), 0);
    (void)snprintf(path, sizeof path, "%s/history.tsv", folder);
    assert_non_null(file = fopen(path, "w"));
    (void)fputs("user_id\titem_id\tbehavior\ttimestamp\nA \"quoted\" \\ user \xc3\xa9\ti1\tview\t5\n", file);
    assert_int_equal(fclose(file), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    char command[64];
    (void)snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

/* In this order: training makes the run that later rows read. Keys are separated by blanks. */
static const struct row {
    const char *name, *arguments, *keys;
    int status;
} rows[] = {
    {"devices", "devices --json", "devices", 0},
    {"plugins", "plugins --json", "plugins", 0},
    {"data import", "data import source --out set3 --json", "users items events behaviors modalities import", 0},
    {"data describe", "data describe set --json", "users items events behaviors modalities import", 0},
    {"data synth", "data synth --out source2 --users 50 --items 40 --clusters 3 --json", "source", 0},
    {"train", "train config.yaml --out run --json", "run epochs steps best_epoch metric best_metric early seconds", 0},
    {"evaluate", "evaluate run --json", "run split samples itemknn_damping trend_half_life full uni99", 0},
    {"evaluate against the truth", "evaluate run --truth source/truth --json", "run split samples full uni99 truth", 0},
    {"evaluate the baselines", "evaluate set --baselines --json",
     "data split samples itemknn_damping trend_half_life full uni99", 0},
    {"recommend", "recommend run --users u1,u2 --json", "users", 0},
    {"recommend in another spelling", "recommend run --users u1 --format json", "users", 0},
    {"recommend to a stranger with an odd name", "recommend run --history history.tsv --json", "users", 0},
    {"trace", "trace run --users u1,u2 --out values --json", "out users", 0},
    {"ops", "ops --json", "ops", 0},
    {"one op", "ops linear --json", "ops", 0},
    {"graph of a step", "graph config.yaml --json", "graph device nodes flops scratch_bytes steps", 0},
    {"graph of inference", "graph config.yaml --what infer --json", "graph device nodes flops scratch_bytes steps", 0},
    {"graph with kernels", "graph config.yaml --kernels --json", "graph nodes steps kernels", 0},
    {"bench", "bench config.yaml --set items=40 --set data= --repeats 3 --json",
     "samples_per_s gflops peak_share host_share arena_bytes rss_bytes median_s lowest_s highest_s", 0},
    {"bench by op", "bench config.yaml --what infer --set items=40 --repeats 3 --per-op --json", "samples_per_s ops",
     0},
    {"bench beside what the device reaches",
     "bench config.yaml --what infer --set items=40 --repeats 3 --roofline --json", "samples_per_s roofline", 0},
    {"bench without a peak", "bench config.yaml --backend reference --set items=40 --batch 2 --repeats 1 --json",
     "samples_per_s peak_share host_share", 0},
    {"conformance of ops", "conformance --backend cpu --layer ops --cases 'neg*' --json", "device checks passed", 0},
    {"conformance that lacks an op",
     "conformance --backend reference --device-option refuse=exp --layer ops --cases 'exp*' --json",
     "device checks passed", 1},
    {"conformance of the model",
     "conformance --layer model --vectors " M3BSR_SOURCE_DIR "/tests/vectors/one.safetensors --json",
     "device checks passed", 0},
};

static void is_json(void **state)
{
    const struct row *row = *state;
    json_error_t wrong;
    char keys[256], *text = output_of(row->arguments, row->status), *left = keys;
    json_t *value = json_loads(text, JSON_REJECT_DUPLICATES, &wrong);
    if (value == NULL) fail_msg("%s: %s at line %d, column %d", row->arguments, wrong.text, wrong.line, wrong.column);
    (void)snprintf(keys, sizeof keys, "%s", row->keys);
    for (const char *key; (key = strsep(&left, " ")) != NULL;)
        if (json_object_get(value, key) == NULL) fail_msg("%s: there is no '%s' in %s", row->arguments, key, text);
    json_decref(value);
    free(text);
}

int main(void)
{
    enum { ROWS = sizeof rows / sizeof rows[0] };
    struct CMUnitTest tests[ROWS];
    for (size_t i = 0; i < ROWS; i++)
        tests[i] = (struct CMUnitTest){rows[i].name, is_json, NULL, NULL, (void *)(uintptr_t)&rows[i]};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
