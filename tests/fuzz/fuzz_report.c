/* The log of a run, from which its report is made: no text of it becomes a tag of the page. */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "core/run/report.h"

static void check_page(const char *path)
{
    char *line = NULL;
    size_t room = 0;
    FILE *page = fopen(path, "rb");
    FUZZ_CHECK(page != NULL);
    while (getline(&line, &room, page) > 0) FUZZ_CHECK(strstr(line, "<b>") == NULL);
    free(line);
    (void)fclose(page);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char settings[] = "target: \"<b>&\"\nepochs: 3\n";
    m3_error err = {0};
    (void)fuzz_write("settings.yaml", settings, sizeof settings - 1);
    (void)fuzz_write("log.jsonl", data, size);
    m3_status st = m3_report_write(fuzz_folder(), &err);
    fuzz_check_error(st, &err);
    if (st == M3_OK) check_page(fuzz_path("report.html"));
    return 0;
}
