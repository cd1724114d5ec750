/* cut: run a command and kill it at one of the system calls with which it changes files, counted over all of its
 * threads. cut N TOLD COMMAND ARGUMENT... The N-th such call (from 1) is where it ends. A write gets half of its bytes
 * out first where the machine's registers are known here, so that it ends between two system calls of one write; other
 * calls do not happen. N = 0 kills nothing. The file TOLD gets how many calls there were, and how it ended: "12 half",
 * "12 before" or "90 whole". The exit status is the command's, or 128 + 9. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/ptrace.h>

enum { SYSCALL_STOP = SIGTRAP | 0x80 };

static bool is_write(uint64_t number)
{
    return number == SYS_write || number == SYS_pwrite64 || number == SYS_writev;
}

/* What a reader could see, or what would be gone after a crash of the machine. */
static bool changes_files(const struct __ptrace_syscall_info *call)
{
    static const uint64_t others[] = {
        SYS_fsync,    SYS_fdatasync, SYS_ftruncate, SYS_unlinkat, SYS_mkdirat, SYS_renameat2,
#ifdef SYS_rename
        SYS_rename,   SYS_unlink,    SYS_mkdir,
#endif
#ifdef SYS_renameat
        SYS_renameat,
#endif
    };
    const uint64_t number = call->entry.nr;
    if (is_write(number)) return call->entry.args[0] > STDERR_FILENO;
    if (number == SYS_openat) return (call->entry.args[2] & (uint64_t)(O_CREAT | O_TRUNC)) != 0;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (number == others[i]) return true;
    return false;
}

/* Let half of a write happen; false where that cannot be asked for. */
static bool halve(pid_t thread, const struct __ptrace_syscall_info *call)
{
#ifdef __x86_64__
    struct user_regs_struct registers;
    if (call->entry.nr == SYS_writev || call->entry.args[2] < 2) return false;
    if (ptrace(PTRACE_GETREGS, thread, NULL, &registers) != 0) return false;
    registers.rdx /= 2;
    return ptrace(PTRACE_SETREGS, thread, NULL, &registers) == 0;
#else
    (void)thread;
    (void)call;
    return false;
#endif
}

typedef struct tracing {
    pid_t child;
    uint64_t at, seen;
    pid_t cut; /* the thread that is in its last write; 0: none */
    const char *end;
    int status;
} tracing;

/* A thread entered or left a system call. true: it goes on. */
static bool look(tracing *t, pid_t thread)
{
    struct __ptrace_syscall_info call = {0};
    if (ptrace(PTRACE_GET_SYSCALL_INFO, thread, (void *)sizeof call, &call) <= 0) return true;
    if (thread == t->cut && call.op == PTRACE_SYSCALL_INFO_EXIT) {
        t->end = "half";
        return false;
    }
    if (call.op != PTRACE_SYSCALL_INFO_ENTRY || !changes_files(&call) || ++t->seen != t->at) return true;
    if (is_write(call.entry.nr) && halve(thread, &call)) {
        t->cut = thread;
        return true;
    }
    t->end = "before";
    return false;
}

static void trace(tracing *t)
{
    int status;
    pid_t thread;
    while ((thread = waitpid(-1, &status, __WALL)) > 0 || errno == EINTR) {
        if (thread <= 0) continue;
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            if (thread != t->child) continue;
            t->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
            return;
        }
        const int number = WSTOPSIG(status);
        const bool ours = number == SYSCALL_STOP || number == SIGTRAP || number == SIGSTOP;
        if (number == SYSCALL_STOP && !look(t, thread)) {
            (void)kill(t->child, SIGKILL);
            t->cut = 0;
            continue;
        }
        (void)ptrace(PTRACE_SYSCALL, thread, NULL, (void *)(intptr_t)(ours ? 0 : number));
    }
}

int main(int argc, char **argv)
{
    const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL | PTRACE_O_TRACEEXEC;
    tracing t = {.end = "whole"};
    if (argc < 4) {
        (void)fputs("usage: cut N TOLD COMMAND ARGUMENT...\n", stderr);
        return 2;
    }
    t.at = strtoull(argv[1], NULL, 10);
    if ((t.child = fork()) == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0) (void)raise(SIGSTOP);
        (void)execv(argv[3], argv + 3);
        _exit(127);
    }
    if (t.child < 0 || waitpid(t.child, &t.status, 0) != t.child || !WIFSTOPPED(t.status) ||
        ptrace(PTRACE_SETOPTIONS, t.child, NULL, (void *)options) != 0) {
        (void)fprintf(stderr, "cut: nothing can be traced here: %s\n", strerror(errno));
        return 77;
    }
    (void)ptrace(PTRACE_SYSCALL, t.child, NULL, NULL);
    trace(&t);
    FILE *told = fopen(argv[2], "w");
    if (told == NULL) return 2;
    (void)fprintf(told, "%llu %s\n", (unsigned long long)t.seen, t.end);
    return fclose(told) == 0 ? t.status : 2;
}
