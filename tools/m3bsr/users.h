/* users: for whom a command works: users of a run's set, or those of a file of new histories. */
#ifndef M3_TOOLS_USERS_H
#define M3_TOOLS_USERS_H

#include "m3bsr/data.h"
#include "tools/m3bsr/cli.h"

/** Starts as {0}, ends with cli_users_fini(). */
typedef struct cli_users {
    const char *list;    /**< --users: "A,B" or "@FILE"; NULL: everyone in the file of histories */
    const char *history; /**< --history; NULL: users of the set */
    m3_reading reading;  /**< how the file of histories is read */
    cli_list derive, columns;
    const char *time_unit;
    m3_histories *histories;
    uint32_t *numbers; /**< [count] in the set or in the histories */
    uint32_t count, capacity;
    uint32_t unknown; /**< ids that are not there */
    char names[800];  /**< the first of them */
} cli_users;

/** The options, in a list of cli_option. */
/* clang-format off */
#define CLI_USERS_OPTIONS(users)                                                                                       \
    {"users", CLI_TEXT, &(users).list, "A,B|@FILE", "ids, or a file with an id a line"},                               \
    {"history", CLI_TEXT, &(users).history, "FILE",                                                                    \
     "new histories: user_id, item_id, behavior, timestamp; the users\n"                                               \
     "                             are then the file's, by default all"},                                            \
    {"user-column", CLI_TEXT, &(users).reading.user_column, "NAME", "of the histories; default: user_id"},             \
    {"item-column", CLI_TEXT, &(users).reading.item_column, "NAME", "default: item_id"},                               \
    {"behavior-column", CLI_TEXT, &(users).reading.behavior_column, "NAME", "default: behavior"},                      \
    {"time-column", CLI_TEXT, &(users).reading.time_column, "NAME", "default: timestamp"},                             \
    {"time-unit", CLI_TEXT, &(users).time_unit, "NAME", "s, ms, us or ns; default: found"},                            \
    {"separator", CLI_TEXT, &(users).reading.separator, "TEXT", "of fields, as data import takes it"},                 \
    {"columns", CLI_NAMES, &(users).columns, "A,B,C", "of histories without header"},                                  \
    {"derive", CLI_LIST, &(users).derive, "NAME=COLUMN>=NUMBER", "behaviors of the histories, as data import takes it"}
/* clang-format on */

/** Put `--time-unit UNIT` (NULL: not given) and `--time-column none` into a reading. */
m3_status cli_take_times(m3_reading *reading, const char *time_unit, m3_error *err);
/** Whether an option says for whom; else print how to say it. @param command  Such as "recommend RUN". */
bool cli_users_given(const cli_users *users, const char *command);
/** Read the histories and find the users. Those that are not there are named on stderr and left out; with --strict, and
 * when there is no other, they are an error. The set must outlive the users. */
m3_status cli_users_read(cli_users *users, const m3_dataset *set, const cli *c, m3_error *err);
/** The id of user i of the list. */
const char *cli_users_id(const cli_users *users, const m3_dataset *set, uint32_t i);
void cli_users_fini(cli_users *users);

#endif
