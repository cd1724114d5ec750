/* users: lists of ids, files of them, and new histories. */
#include "tools/m3bsr/users.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool cli_users_given(const cli_users *users, const char *command)
{
    if (users->list != NULL || users->history != NULL) return true;
    cli_show(stderr, "error: for whom? m3bsr %s --users A,B|@FILE, or --history FILE\n", command);
    return false;
}

static m3_status add(cli_users *users, uint32_t number, m3_error *err)
{
    if (users->count == users->capacity) {
        const uint32_t capacity = users->capacity == 0 ? 64 : 2 * users->capacity;
        uint32_t *grown = realloc(users->numbers, capacity * sizeof *grown);
        if (grown == NULL) return M3_FAIL_MEMORY(err, "users", capacity * sizeof *grown);
        users->numbers = grown;
        users->capacity = capacity;
    }
    users->numbers[users->count++] = number;
    return M3_OK;
}

static bool is_known(const cli_users *users, const m3_dataset *set, const char *id, uint32_t *number)
{
    return users->histories != NULL ? m3_histories_find_user(users->histories, id, number)
                                    : m3_dataset_find_user(set, id, number);
}

enum { NAMED = 10 }; /* of the ids that are not there */

/* As it is written, else without the blanks around it. */
static m3_status find(cli_users *users, const m3_dataset *set, char *id, m3_error *err)
{
    uint32_t number = 0;
    if (is_known(users, set, id, &number)) return add(users, number, err);
    id += strspn(id, " \t");
    for (size_t end = strlen(id); end > 0 && (id[end - 1] == ' ' || id[end - 1] == '\t'); end--) id[end - 1] = '\0';
    if (id[0] == '\0') return M3_OK;
    if (is_known(users, set, id, &number)) return add(users, number, err);
    if (users->unknown++ < NAMED) {
        const size_t at = strlen(users->names);
        (void)snprintf(users->names + at, sizeof users->names - at, "%s'%.60s'", at > 0 ? ", " : "", id);
    }
    return M3_OK;
}

static void tell(const cli_users *users, const char *where)
{
    (void)fprintf(stderr, "warning: %u of %u left out: ", users->unknown, users->unknown + users->count);
    cli_print_safe(stderr, users->names);
    cli_show(stderr, "%s: no users of ", users->unknown > NAMED ? ", ..." : "");
    cli_print_safe(stderr, where);
    (void)fputc('\n', stderr);
}

/* Of ids that are not there. */
static m3_status tell_unknown(const cli_users *users, const m3_dataset *set, const cli *c, m3_error *err)
{
    char where[200];
    if (users->unknown == 0) return M3_OK;
    if (users->histories != NULL)
        (void)snprintf(where, sizeof where, "%.150s", users->history);
    else
        (void)snprintf(where, sizeof where, "the set, which has %u; give the history of a new user with --history",
                       m3_dataset_user_count(set));
    if (c->strict || users->count == 0)
        return M3_FAIL(err, M3_ERR_INVALID, users->names, "%s of %s",
                       users->unknown == 1 ? "is no user" : "are no users", where);
    if (!c->quiet) tell(users, where);
    return M3_OK;
}

/* "A,B". */
static m3_status read_list(cli_users *users, const m3_dataset *set, m3_error *err)
{
    m3_status st = M3_OK;
    char *copy = strdup(users->list), *left = copy;
    if (copy == NULL) return M3_FAIL_MEMORY(err, "users", strlen(users->list) + 1);
    while (st == M3_OK && left != NULL) {
        char *id = strsep(&left, ",");
        if (*id != '\0') st = find(users, set, id, err);
    }
    free(copy);
    return st;
}

/* An id a line. A byte order mark does no harm. */
static m3_status read_file(cli_users *users, const m3_dataset *set, const char *path, m3_error *err)
{
    enum { LINE = 4096 }; /* an id has at most 1024 bytes */
    m3_status st = M3_OK;
    char line[LINE];
    uint64_t number = 0;
    static const char byte_order_mark[] = "\xef\xbb\xbf";
    FILE *file = fopen(path, "rbe");
    if (file == NULL)
        return M3_FAIL(err, errno == ENOMEM ? M3_ERR_MEMORY : M3_ERR_INVALID, path, "cannot be opened: %s",
                       strerror(errno));
    for (size_t mark = strlen(byte_order_mark); st == M3_OK && fgets(line, sizeof line, file) != NULL; mark = 0) {
        number++;
        if (strchr(line, '\n') == NULL && !feof(file)) {
            st = M3_FAIL(err, M3_ERR_INVALID, path, "line %llu is longer than an id; it takes an id a line",
                         (unsigned long long)number);
            break;
        }
        char *id = strncmp(line, byte_order_mark, mark) == 0 ? line + mark : line;
        line[strcspn(line, "\r\n")] = '\0';
        if (id[0] != '\0') st = find(users, set, id, err);
    }
    if (st == M3_OK && ferror(file))
        st = M3_FAIL(err, errno == EISDIR ? M3_ERR_INVALID : M3_ERR_IO, path, "cannot be read: %s", strerror(errno));
    (void)fclose(file);
    return st;
}

m3_status cli_take_times(m3_reading *reading, const char *time_unit, m3_error *err)
{
    static const char *const names[] = {"auto", "s", "ms", "us", "ns"};
    uint32_t unit = 0;
    if (reading->time_column != NULL && strcmp(reading->time_column, "none") == 0) reading->time_column = "";
    while (time_unit != NULL && unit <= M3_TIME_NS && strcmp(time_unit, names[unit]) != 0) unit++;
    if (unit > M3_TIME_NS)
        return M3_FAIL(err, M3_ERR_INVALID, "--time-unit", "cannot be '%s'; give s, ms, us, ns or auto", time_unit);
    reading->time_unit = (m3_time_unit)unit;
    return M3_OK;
}

static void print_log(void *user, m3_log_level level, const char *line)
{
    const cli *c = user;
    if (level <= M3_LOG_WARN ? !c->quiet : c->verbose) cli_say("", line);
}

static m3_status read_history(cli_users *users, const m3_dataset *set, const cli *c, m3_error *err)
{
    cli copy = *c; /* the log's user is not const */
    m3_reading reading = users->reading;
    reading.derive = cli_list_texts(&users->derive);
    reading.derive_count = users->derive.count;
    reading.columns = cli_list_texts(&users->columns);
    reading.column_count = users->columns.count;
    reading.say_all = c->verbose;
    reading.log = print_log;
    reading.log_user = &copy;
    m3_import_report report = {0};
    m3_status st = cli_take_times(&reading, users->time_unit, err);
    if (st == M3_OK) st = m3_histories_read(set, users->history, &reading, &users->histories, &report, err);
    for (uint32_t i = 0; st == M3_OK && m3_drop_name(i) != NULL; i++)
        if (report.dropped[i] > 0 && !c->quiet)
            cli_show(stderr, "%s: left out %llu rows: %s\n", users->history, (unsigned long long)report.dropped[i],
                     m3_drop_meaning(i));
    return st;
}

m3_status cli_users_read(cli_users *users, const m3_dataset *set, const cli *c, m3_error *err)
{
    m3_status st = M3_OK;
    if (users->history != NULL && (st = read_history(users, set, c, err)) != M3_OK) return st;
    if (users->list != NULL) {
        st = users->list[0] == '@' ? read_file(users, set, users->list + 1, err) : read_list(users, set, err);
    } else { /* everyone in the file of histories */
        const uint32_t count = m3_histories_user_count(users->histories);
        for (uint32_t i = 0; st == M3_OK && i < count; i++) st = add(users, i, err);
    }
    if (st == M3_OK) st = tell_unknown(users, set, c, err);
    if (st == M3_OK && users->count == 0) st = M3_FAIL(err, M3_ERR_INVALID, "--users", "names nobody");
    return st;
}

const char *cli_users_id(const cli_users *users, const m3_dataset *set, uint32_t i)
{
    return users->histories != NULL ? m3_histories_user_id(users->histories, users->numbers[i])
                                    : m3_dataset_user_id(set, users->numbers[i]);
}

void cli_users_fini(cli_users *users)
{
    m3_histories_free(users->histories);
    free(users->numbers);
    *users = (cli_users){0};
}
