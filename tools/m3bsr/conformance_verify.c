/* conformance_verify: whether a statement of conformance that somebody sends holds together.
 *   m3bsr conformance verify FILE
 * The file may be anybody's. It is refused when it is too long or too deep, has another form, or says something that
 * does not follow from its own results. What it cannot show is that the results were measured: for that, run the cases
 * again. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "m3bsr/version.h"
#include "tools/m3bsr/conformance_report.h"

enum { MOST_BYTES = 64 << 20, MOST_DEPTH = 8, MAX_FINDINGS = 20 };

static const char opening[] = "<script type=\"application/json\" id=\"statement\">", closing[] = "</script>";

typedef struct verification {
    cli c;
    const char *path;
    char *bytes; /* of the file */
    size_t size;
    bool page;      /* it is a page, and the statement a part of it */
    bool no_memory; /* to read it */
    json_t *statement;
    json_t *findings; /* texts */
} verification;

/* Reading. All messages end with status 2, but for those about memory, which end with 3. */

static bool refuse(const verification *v, const char *why)
{
    cli_show(stderr, "error: %s: %s\n", v->path, why);
    return false;
}

static bool read_file(verification *v)
{
    size_t capacity = 1 << 16;
    FILE *from = fopen(v->path, "rbe");
    v->no_memory = from == NULL && errno == ENOMEM;
    if (from == NULL) return refuse(v, strerror(errno));
    bool good = true;
    while (good) {
        char *grown = realloc(v->bytes, capacity + 1);
        v->no_memory = grown == NULL;
        if (v->no_memory) break;
        v->bytes = grown;
        v->size += fread(v->bytes + v->size, 1, capacity - v->size, from);
        if (v->size < capacity) break;
        good = capacity < MOST_BYTES;
        capacity *= 2;
    }
    const bool failed = ferror(from) != 0;
    const int reason = errno;
    (void)fclose(from);
    if (v->bytes != NULL) v->bytes[v->size] = '\0';
    if (failed) return refuse(v, strerror(reason));
    if (v->no_memory) return refuse(v, "there is no memory for it");
    return good ? true : refuse(v, "it is longer than any statement");
}

/* The part of the file that is the statement. */
static bool find_statement(verification *v, const char **text, size_t *size)
{
    *text = v->bytes;
    *size = v->size;
    const char *first = v->bytes + strspn(v->bytes, " \t\r\n");
    v->page = *first == '<';
    if (!v->page) return *first == '{' ? true : refuse(v, "it is neither JSON nor a page with a statement");
    const char *begin = memmem(v->bytes, v->size, opening, sizeof opening - 1);
    if (begin == NULL) return refuse(v, "the page holds no statement of conformance");
    *text = begin + sizeof opening - 1;
    const size_t left = v->size - (size_t)(*text - v->bytes);
    const char *end = memmem(*text, left, closing, sizeof closing - 1);
    if (end == NULL) return refuse(v, "the page ends inside of its statement: it was cut");
    *size = (size_t)(end - *text);
    return true;
}

/* Before it is parsed, which takes stack for each level. */
static bool is_deep(const char *text, size_t size)
{
    int depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < size; i++) {
        if (quoted && text[i] == '\\')
            i++;
        else if (text[i] == '"')
            quoted = !quoted;
        else if (!quoted && (text[i] == '[' || text[i] == '{') && ++depth > MOST_DEPTH)
            return true;
        else if (!quoted && (text[i] == ']' || text[i] == '}'))
            depth--;
    }
    return false;
}

static bool parse(verification *v)
{
    const char *text;
    size_t size;
    json_error_t wrong;
    char why[128];
    if (!find_statement(v, &text, &size)) return false;
    if (is_deep(text, size)) return refuse(v, "its brackets are deeper than those of a statement");
    v->statement = json_loadb(text, size, JSON_REJECT_DUPLICATES, &wrong);
    if (cli_lacks_memory()) return refuse(v, "there is no memory for it");
    if (v->statement == NULL) {
        (void)snprintf(why, sizeof why, "line %d, column %d: it is no JSON, or was cut", wrong.line, wrong.column);
        return refuse(v, why);
    }
    const char *malformed = statement_malformed(v->statement);
    return malformed == NULL ? true : refuse(v, malformed);
}

/* Checking. A finding is a text in v->findings. */

static void find(verification *v, json_t *text)
{
    (void)json_array_append_new(v->findings, text);
}

static const char *text_at(const verification *v, const char *key)
{
    const char *text = json_string_value(json_object_get(v->statement, key));
    return text != NULL ? text : "";
}

static void check_digest(verification *v)
{
    char hex[33];
    if (!statement_digest(v->statement, hex) || strcmp(hex, text_at(v, "digest")) != 0)
        find(v, json_sprintf("it was altered: its digest is %s, of what it says it would be %s", text_at(v, "digest"),
                             hex));
}

static void check_part(verification *v, const char *key, json_t *wanted, const char *finding)
{
    if (!json_equal(json_object_get(v->statement, key), wanted)) find(v, json_string(finding));
    json_decref(wanted);
}

static bool is_layer(const char *name)
{
    for (size_t i = 0; check_layers[i] != NULL; i++)
        if (strcmp(check_layers[i], name) == 0) return true;
    return false;
}

/* What it says must follow from its results. */
static void check_sums(verification *v)
{
    const char *name;
    json_t *rows, *row, *because = json_array(), *results = json_object_get(v->statement, "results");
    size_t i, wrong = 0;
    check_part(v, "columns", statement_columns(), "the names of its columns are not those of a statement");
    check_part(v, "layers", statement_layers(results), "its counts by layer do not agree with its results");
    check_part(v, "lacks", statement_lacks(results), "its list of what lacks does not agree with its results");
    const char *verdict = statement_verdict(v->statement, because);
    if (strcmp(verdict, text_at(v, "verdict")) != 0)
        find(v, json_sprintf("it says '%s', and its results say '%s'", text_at(v, "verdict"), verdict));
    check_part(v, "because", because, "its reasons do not follow from its results");
    json_object_foreach(results, name, rows)
    {
        if (!is_layer(name)) find(v, json_sprintf("this program knows no layer '%s'", name));
        json_array_foreach(rows, i, row) if (strcmp(result_text(row, RESULT_VERDICT), "pass") == 0) wrong +=
            json_real_value(json_array_get(row, RESULT_SHARE)) > 1.0;
    }
    if (wrong > 0) find(v, json_sprintf("%zu cases pass with an error beyond the bound", wrong));
}

/* The names of the list against those of the results. */
typedef struct coverage {
    json_t *names[2]; /* of results: of ops, of gradients; NULL: the layer was not run */
    uint32_t missing;
    char first[800];
} coverage;

static void look_for(void *user, const m3_case_entry *entry)
{
    coverage *all = user;
    const bool takes_part[2] = {entry->values, entry->slopes};
    for (size_t l = 0; l < 2; l++) {
        if (!takes_part[l] || all->names[l] == NULL || json_object_get(all->names[l], entry->name) != NULL) continue;
        if (all->missing++ == 0) (void)snprintf(all->first, sizeof all->first, "%s", entry->name);
    }
}

static json_t *names_of(verification *v, const char *layer)
{
    const json_t *rows = json_object_get(json_object_get(v->statement, "results"), layer), *row;
    json_t *names = rows != NULL ? json_object() : NULL;
    size_t i, twice = 0;
    json_array_foreach(rows, i, row)
    {
        const char *name = result_text(row, RESULT_CASE);
        twice += strcmp(result_text(row, RESULT_VERDICT), "pass") == 0 && json_object_get(names, name) != NULL;
        (void)json_object_set_new(names, name, json_true());
    }
    if (twice > 0) find(v, json_sprintf("%zu results of layer %s have a name that was there before", twice, layer));
    return names;
}

/* Likewise for the checks of layer system, of which there is one list. */
static void check_duties(verification *v)
{
    const char *name, *about;
    json_t *names = names_of(v, "system"), *first = NULL;
    uint32_t missing = 0;
    for (uint32_t i = 0; names != NULL && (name = m3_conformance_system_name(i, &about)) != NULL; i++)
        if (json_object_get(names, name) == NULL && missing++ == 0) first = json_string(name);
    if (missing > 0)
        find(v, json_sprintf("%u checks of layer system have no result, the first: %s", missing,
                             json_string_value(first)));
    json_decref(first);
    json_decref(names);
}

/* Who shortens the list, or takes results away, is seen. */
static void check_list_of(verification *v)
{
    const json_t *theirs = json_object_get(v->statement, "list");
    const char *kind = json_string_value(json_object_get(theirs, "kind"));
    const bool full = strcmp(kind, "full") == 0;
    const json_int_t version = json_integer_value(json_object_get(theirs, "version"));
    json_t *ours = statement_list(full);
    const json_int_t known = json_integer_value(json_object_get(ours, "version"));
    if (!full && strcmp(kind, "quick") != 0)
        find(v, json_sprintf("there is no list '%s'", kind));
    else if (version != known)
        find(v, json_sprintf("it is about list %lld and this program has list %lld; verify it with m3bsr %s",
                             (long long)version, (long long)known, text_at(v, "product")));
    else if (!json_equal(theirs, ours))
        find(v, json_sprintf("its list is not the %s list %lld of this program, which has %lld cases", kind,
                             (long long)known, (long long)json_integer_value(json_object_get(ours, "cases"))));
    const bool same = json_equal(theirs, ours);
    json_decref(ours);
    if (!same) return;
    coverage all = {.names = {names_of(v, "ops"), names_of(v, "gradients")}};
    const m3_cases_options options = {.size = M3_STRUCT_SIZE(m3_cases_options, full), .full = full, .user = &all};
    m3_error err = {0};
    const bool whole =
        json_is_null(json_object_get(v->statement, "cases")) && json_is_true(json_object_get(v->statement, "ended"));
    if (whole) check_duties(v);
    if (whole && m3_conformance_list(&options, look_for, &err) == M3_OK && all.missing > 0)
        find(v, json_sprintf("%u cases of the list have no result, the first: %s", all.missing, all.first));
    json_decref(all.names[0]);
    json_decref(all.names[1]);
}

/* A page shows what its statement says, or somebody changed it. Another version may show it in another way. */
static void check_shown(verification *v)
{
    char *text = NULL;
    size_t size = 0;
    if (!v->page || strcmp(text_at(v, "product"), m3_version()) != 0) return;
    FILE *to = open_memstream(&text, &size);
    if (to == NULL) return;
    report_page(v->statement, to);
    if (fclose(to) == 0 && (size != v->size || memcmp(text, v->bytes, size) != 0))
        find(v, json_string("the page was altered: it does not show what its statement says"));
    free(text);
}

/* Saying. */

static void print_text(FILE *to, const char *text)
{
    json_t *clean = report_text(text);
    (void)fputs(clean != NULL ? json_string_value(clean) : "?", to);
    json_decref(clean);
}

static void print_about(const verification *v)
{
    static const char *const keys[] = {"name", "backend", "version", "device", "driver"};
    const json_t *device = json_object_get(v->statement, "device"), *list = json_object_get(v->statement, "list");
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        (void)printf("%s", i == 0 ? "  device   " : i == 1 ? ": " : i == 2 ? " " : ", ");
        print_text(stdout, json_string_value(json_object_get(device, keys[i])));
    }
    (void)printf("\n  made     ");
    print_text(stdout, text_at(v, "date"));
    (void)printf(" with m3bsr ");
    print_text(stdout, text_at(v, "product"));
    (void)printf(", interface ");
    print_text(stdout, text_at(v, "abi"));
    (void)printf("\n  list     ");
    print_text(stdout, json_string_value(json_object_get(list, "kind")));
    (void)printf(", version %lld, %lld cases; seed %lld\n",
                 (long long)json_integer_value(json_object_get(list, "version")),
                 (long long)json_integer_value(json_object_get(list, "cases")),
                 (long long)json_integer_value(json_object_get(v->statement, "seed")));
    const json_t *layers = json_object_get(v->statement, "layers"), *layer;
    size_t i;
    json_array_foreach(layers, i, layer)
    {
        const char *name = json_string_value(json_object_get(layer, "name"));
        (void)printf("  ");
        print_text(stdout, name != NULL ? name : "?");
        for (const char *const *key = (const char *const[]){"cases", "pass", "fail", "lack", "crash", "timeout", NULL};
             *key != NULL; key++)
            (void)printf("%s %lld %s", key[0][1] == 'a' && key[0][0] == 'c' ? ":" : ",",
                         (long long)json_integer_value(json_object_get(layer, *key)), *key);
        (void)printf("\n");
    }
}

static int conclude(verification *v)
{
    const size_t found = json_array_size(v->findings);
    const bool conformant = found == 0 && strcmp(text_at(v, "verdict"), "conformant") == 0;
    const char *verdict = found > 0 ? "not valid" : text_at(v, "verdict");
    const json_t *reasons = found > 0 ? v->findings : json_object_get(v->statement, "because"), *reason;
    size_t i;
    if (v->c.json) {
        (void)printf("{\"file\": ");
        cli_json_text(v->path);
        (void)printf(", \"valid\": %s, \"conformant\": %s, \"verdict\": ", found == 0 ? "true" : "false",
                     conformant ? "true" : "false");
        cli_json_text(text_at(v, "verdict"));
        (void)printf(", \"because\": ");
        (void)json_dumpf(reasons, stdout, 0);
        (void)printf("}\n");
        return conformant ? CLI_DONE : CLI_CHECK_FAILED;
    }
    (void)printf("%s: %s", verdict, v->path);
    json_array_foreach(reasons, i, reason)
    {
        (void)printf("%s", i == 0 ? ": " : "; ");
        if (i == MAX_FINDINGS) {
            (void)printf("and more");
            break;
        }
        print_text(stdout, json_string_value(reason) != NULL ? json_string_value(reason) : "?");
    }
    (void)printf("\n");
    if (!v->c.quiet) print_about(v);
    return conformant ? CLI_DONE : CLI_CHECK_FAILED;
}

int check_verify(int argc, char **argv)
{
    verification v = {.findings = json_array()};
    uint32_t rerun = 0;
    const cli_option options[] = {
        {"rerun", CLI_COUNT, &rerun, "N", "run N random cases of it again, here, with its seed"},
    };
    const cli_command command = {
        .usage = "conformance verify FILE [--rerun N [--backend NAME]]",
        .about = "Check a statement of conformance, the JSON or the page of --report: its form, its digest, that its\n"
                 "counts and its verdict follow from its results, and that it is about the whole list of cases.\n"
                 "Exit status 0: conformant; 1: not, or altered; 2: no statement. A liar can make one that holds:\n"
                 "--rerun is the stronger check, on a device of the same kind.",
        .groups = CLI_DEVICE,
        .options = options,
        .option_count = 1,
        .min_words = 1,
        .max_words = 1};
    int status = cli_parse(&v.c, &command, argc, argv);
    if (status == CLI_GO_ON) {
        v.path = v.c.words[0];
        if (!read_file(&v) || !parse(&v)) {
            status = cli_lacks_memory() || v.no_memory ? CLI_SYSTEM : CLI_BAD_INPUT;
        } else {
            check_digest(&v);
            check_sums(&v);
            check_list_of(&v);
            check_shown(&v);
            const uint32_t again = rerun > 0 ? statement_rerun(v.statement, &v.c, rerun, v.findings) : 0;
            if (again > 0 && !v.c.quiet && !v.c.json)
                (void)printf("%u random cases were run again and pass here\n", again);
            status = cli_lacks_memory() ? cli_no_memory() : conclude(&v);
        }
    }
    json_decref(v.statement);
    json_decref(v.findings);
    free(v.bytes);
    cli_close(&v.c);
    return status;
}
