/* mapped: what becomes of the tool when a file that it has mapped is cut short by somebody else. The kernel says so
 * with SIGBUS at the first touch of what is missing: the file is named and the process ends, with what was saved as it
 * is. The handler calls nothing but system calls: the thread may have been in the middle of anything. */
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "tools/m3bsr/cli.h"

enum { LONGEST_LINE = 4096 + 128 }; /* of /proc/self/maps: addresses and a path */

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

/* The file of a line "begin-end rights offset device inode   path" when the address lies in it, else NULL. */
static const char *file_of(const char *line, uintptr_t address)
{
    const char *at = line;
    const uintptr_t begin = hexadecimal(&at);
    if (*at == '-') at++;
    const uintptr_t end = hexadecimal(&at);
    return address >= begin && address < end ? strchr(line, '/') : NULL;
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

static void on_bus_error(int number, siginfo_t *info, void *context)
{
    char line[LONGEST_LINE];
    const char *path = NULL;
    (void)context;
    while (atomic_flag_test_and_set(&taken)) (void)pause();
    const int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && path == NULL && next_line(fd, line)) path = file_of(line, (uintptr_t)info->si_addr);
    if (info->si_code != BUS_ADRERR || path == NULL) { /* no file that was cut: as without this handler */
        (void)signal(number, SIG_DFL);
        (void)raise(number);
        return;
    }
    say("error: ");
    say(path);
    say(": was cut short by something else while it was read; what was saved before is whole. Put it back, and write "
        "new "
        "data to another name, which may take the name of the old by mv\n");
    _exit(CLI_SYSTEM);
}

void cli_catch_lost_files(void)
{
    struct sigaction action = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO};
    (void)sigfillset(&action.sa_mask);
    (void)sigaction(SIGBUS, &action, NULL);
}
