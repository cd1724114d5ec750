/* ranks: what test_mpi.sh starts under mpirun: one rank of a group over the plugin mpi.
 *   ranks MODE SECONDS [PIECE]
 * MODE well makes the checks of conformance; with die, hang, fail and more, rank 1 does that in the middle of some
 * sums. Prints a line; the exit status is 0, or 3 when the group broke, or 1 when a check failed. SIGTERM, with which
 * mpirun ends the others when a rank has died, is left alone, as `m3bsr train` does: who waits finds out by itself. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/parallel/group.h"
#include "m3bsr/conformance.h"

enum { ROUNDS = 40, VALUES = 1000 };

static void print_failed(void *user, const m3_collectives_finding *finding)
{
    (void)user;
    if (!finding->passed) (void)printf("%s: %s\n", finding->name, finding->text);
}

static int check(m3_engine *engine, double seconds, m3_span options)
{
    m3_error err = {0};
    m3_collectives_report report;
    const m3_collectives_options how = {
        .size = sizeof how, .here = 1, .seconds = seconds, .options = options, .done = print_failed};
    const m3_status st = m3_conformance_collectives(engine, "mpi", &how, &report, &err);
    if (st != M3_OK)
        (void)printf("no check: %s\n", err.message);
    else
        (void)printf("rank %u of %u: %u checks, %u failed\n", report.first, report.ranks, report.run, report.failed);
    return st != M3_OK ? 3 : report.failed > 0;
}

static m3_status go_wrong(m3_member *m, const char *mode, m3_error *err)
{
    const m3_error full = {.code = M3_ERR_IO, .subject = "run/log", .message = "the disk is full"};
    float values[2 * VALUES] = {0};
    m3_status st = M3_OK;
    for (uint32_t round = 0; round < ROUNDS && st == M3_OK; round++) {
        const bool now = m3_member_rank(m) == 1 && round == ROUNDS / 2;
        if (now && strcmp(mode, "die") == 0) (void)raise(SIGKILL);
        if (now && strcmp(mode, "hang") == 0) (void)raise(SIGSTOP);
        if (now && strcmp(mode, "fail") == 0) m3_member_fail(m, &full);
        st = m3_member_sum(m, values, now && strcmp(mode, "more") == 0 ? 2 * VALUES : VALUES, err);
    }
    return st;
}

static int break_group(m3_engine *engine, const char *mode, double seconds, m3_span options)
{
    m3_error err = {0};
    m3_group *group = NULL;
    m3_status st = m3_group_open(engine, "mpi", 1, seconds, options, &group, &err);
    if (st == M3_OK) st = go_wrong(m3_group_member(group, 0), mode, &err);
    (void)printf("rank %u: %s: %s\n", group != NULL ? m3_group_first(group) : 0, err.subject, err.message);
    (void)fflush(stdout);
    m3_group_close(group);
    return st == M3_OK ? 0 : 3;
}

int main(int argc, char **argv)
{
    m3_error err = {0};
    m3_engine *engine = NULL;
    const m3_engine_config config = {
        .size = sizeof config, .plugin_path = M3BSR_BUILD_PLUGIN_DIR "/m3bsr_collectives_mpi.so", .threads = 1};
    const m3_option piece = {"piece", argc > 3 ? argv[3] : ""};
    const m3_span options = {argc > 3, sizeof piece, &piece};
    if (argc < 3 || m3_engine_create(&config, &engine, &err) != M3_OK) return 2;
    (void)signal(SIGTERM, SIG_IGN);
    const double seconds = strtod(argv[2], NULL);
    const bool well = strcmp(argv[1], "well") == 0;
    const int status = well ? check(engine, seconds, options) : break_group(engine, argv[1], seconds, options);
    m3_engine_free(engine);
    return status;
}
