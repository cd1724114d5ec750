/* mapped: what becomes of the tool when a file that it has mapped is changed by somebody else. One that is cut short
 * makes the kernel send SIGBUS at the first touch of what is missing; one that is written to may lead anywhere, until
 * the next look at its time. The file is named and the process ends, with what was saved as it is. The handler calls
 * nothing but system calls: the thread may have been in the middle of anything. */
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tools/m3bsr/cli.h"

enum { LONGEST_LINE = 4096 + 128 }; /* of /proc/self/maps: addresses and a path */

static const int faults[] = {SIGBUS, SIGSEGV, SIGABRT}; /* the last: malloc's, of what it finds overwritten */
enum { FAULTS = sizeof faults / sizeof faults[0] };
static struct sigaction before[FAULTS];
static struct timespec began; /* this process */

/* One thread speaks; others that run into the same hole wait for its end. */
static atomic_flag taken = ATOMIC_FLAG_INIT;

static void say(const char *text)
{
    for (size_t left = strlen(text); left > 0;) {
        const ssize_t bytes = write(STDERR_FILENO, text, left);
        if (bytes <= 0) return;
        text += bytes;
        left -= (size_t)bytes;
    }
}

static uintptr_t hexadecimal(const char **at)
{
    static const char digits[] = "0123456789abcdef";
    uintptr_t number = 0;
    for (const char *digit; **at != '\0' && (digit = strchr(digits, **at)) != NULL; ++*at)
        number = number << 4 | (uintptr_t)(digit - digits);
    return number;
}

/* A line "begin-end rights offset device inode   path" of a mapped file. */
typedef struct mapping {
    uintptr_t begin, end;
    uint64_t inode;
    const char *path; /* in the line */
} mapping;

static bool read_mapping(const char *line, mapping *m)
{
    const char *at = line;
    *m = (mapping){.begin = hexadecimal(&at), .path = strchr(line, '/')};
    if (*at == '-') at++;
    m->end = hexadecimal(&at);
    for (int blanks = 0; blanks < 4 && *at != '\0'; at++) blanks += *at == ' ';
    for (; *at >= '0' && *at <= '9'; at++) m->inode = m->inode * 10 + (uint64_t)(*at - '0');
    return m->path != NULL;
}

/* The next line of a file, cut to its size, without its end; false behind the last. */
static bool next_line(int fd, char line[LONGEST_LINE])
{
    size_t length = 0;
    char c = '\0';
    while (read(fd, &c, 1) == 1 && c != '\n')
        if (length < LONGEST_LINE - 1) line[length++] = (unsigned char)c < ' ' || c == 0x7f ? '?' : c;
    line[length] = '\0';
    return length > 0;
}

/* Is it the file at the address, or one that was written to since this process began? */
static bool is_guilty(const mapping *m, const siginfo_t *info, int number)
{
    struct stat now;
    const uintptr_t address = (uintptr_t)info->si_addr;
    if (number == SIGBUS) return info->si_code == BUS_ADRERR && address >= m->begin && address < m->end;
    return stat(m->path, &now) == 0 && now.st_ino == m->inode &&
           (now.st_mtim.tv_sec > began.tv_sec ||
            (now.st_mtim.tv_sec == began.tv_sec && now.st_mtim.tv_nsec > began.tv_nsec));
}

static void on_fault(int number, siginfo_t *info, void *context)
{
    char line[LONGEST_LINE];
    mapping m;
    bool guilty = false;
    (void)context;
    while (atomic_flag_test_and_set(&taken)) (void)pause();
    const int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && !guilty && next_line(fd, line)) guilty = read_mapping(line, &m) && is_guilty(&m, info, number);
    if (!guilty) { /* as without this handler: what faults faults again */
        for (int i = 0; i < FAULTS; i++)
            if (faults[i] == number) (void)sigaction(number, &before[i], NULL);
        if (info->si_code <= 0) (void)raise(number);
        if (fd >= 0) (void)close(fd);
        atomic_flag_clear(&taken);
        return;
    }
    say("error: ");
    say(m.path);
    say(number == SIGBUS ? ": was cut short" : ": was written to");
    say(" by something else while it was read; what was saved before is whole. Put it back, and write new data to "
        "another "
        "name, which may take the name of the old by mv\n");
    _exit(CLI_SYSTEM);
}

void cli_catch_lost_files(void)
{
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    (void)sigfillset(&action.sa_mask);
    (void)clock_gettime(CLOCK_REALTIME_COARSE, &began); /* the clock of files */
    for (int i = 0; i < FAULTS; i++) (void)sigaction(faults[i], &action, &before[i]);
}
