/* named: the devices that a test's argument names: a backend, then device options, joined by commas, as in
 *   opencl,shape=gpu,lanes=64
 * A backend whose driver is not here lets the test skip itself, with the reason; one that needs no driver is a must. */
#ifndef M3_TESTS_SUPPORT_NAMED_H
#define M3_TESTS_SUPPORT_NAMED_H

#include "m3bsr/runtime.h"

#include <stdlib.h>
#include <string.h>

enum { NAMED_OPTIONS = 8, NAMED_DEVICES = 8, NAMED_SKIPPED = 77 };

typedef struct named {
    char text[128]; /* the argument, cut at its commas */
    const char *backend;
    m3_option option[NAMED_OPTIONS];
    uint32_t option_count;
} named;

static inline void named_read(named *n, const char *argument)
{
    char *rest = NULL;
    *n = (named){0};
    (void)snprintf(n->text, sizeof n->text, "%s", argument);
    n->backend = strtok_r(n->text, ",", &rest);
    for (char *key = strtok_r(NULL, ",", &rest); key != NULL; key = strtok_r(NULL, ",", &rest)) {
        char *value = strchr(key, '=');
        if (value == NULL || n->option_count == NAMED_OPTIONS) {
            (void)fprintf(stderr, "'%s' is no list of device options\n", argument);
            exit(EXIT_FAILURE);
        }
        *value = 0;
        n->option[n->option_count++] = (m3_option){key, value + 1};
    }
}

static inline bool named_needs_driver(const named *n)
{
    return strcmp(n->backend, "cpu") != 0 && strcmp(n->backend, "reference") != 0;
}

/* Ends the program: skipped where the backend needs a driver, else failed. */
static inline void named_is_missing(const named *n)
{
    if (!named_needs_driver(n)) {
        (void)fprintf(stderr, "backend %s has no device\n", n->backend);
        exit(EXIT_FAILURE);
    }
    (void)printf("skipped: this machine has no %s device; `m3bsr devices -v` says why\n", n->backend);
    exit(NAMED_SKIPPED);
}

/* Open every device of the backend; there is at least one. */
static inline uint32_t named_open(const named *n, m3_engine *engine, m3_device *devices[NAMED_DEVICES])
{
    m3_error err = {0};
    m3_device_entry entries[4 * NAMED_DEVICES];
    const size_t length = strlen(n->backend);
    uint32_t count = 0, opened = 0;
    for (uint32_t i = 0; i < 4 * NAMED_DEVICES; i++) entries[i].info = (m3_device_info){0};
    m3_status st = m3_engine_devices(engine, entries, 4 * NAMED_DEVICES, &count, &err);
    for (uint32_t i = 0; i < count && i < 4 * NAMED_DEVICES && opened < NAMED_DEVICES && st == M3_OK; i++) {
        if (strncmp(entries[i].name, n->backend, length) != 0 || entries[i].name[length] != ':') continue;
        const m3_span options = {n->option_count, sizeof n->option[0], n->option};
        st = m3_device_open(engine, entries[i].name, options, &devices[opened++], &err);
    }
    if (st != M3_OK) {
        (void)fprintf(stderr, "%s: %s\n", err.subject, err.message);
        exit(EXIT_FAILURE);
    }
    if (opened == 0) named_is_missing(n);
    return opened;
}

#endif
