/* base: what every other header needs: visibility, status, errors, logging levels, arrays over the border.
 * This header has no function of the library: a plugin that includes it links nothing of ours. */
#ifndef M3BSR_BASE_H
#define M3BSR_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#if defined(__GNUC__) || defined(__clang__)
#define M3_API                         __attribute__((visibility("default")))
#define M3_PRINTF(format_index, first) __attribute__((format(printf, format_index, first)))
#else
#define M3_API
#define M3_PRINTF(format_index, first)
#endif

#ifdef __cplusplus
extern "C" {
#endif

/** Outcome of a call. New codes may be appended in a minor version: treat an unknown one as M3_ERR_INTERNAL. */
typedef enum m3_status {
    M3_OK = 0,
    M3_ERR_INVALID = 1,     /**< wrong argument, input, file or configuration: the caller can mend it */
    M3_ERR_UNSUPPORTED = 2, /**< right, but this device or build cannot do it */
    M3_ERR_MEMORY = 3,      /**< host or device memory could not be had */
    M3_ERR_DEVICE_LOST = 4, /**< the device stopped working; it stays lost */
    M3_ERR_TIMEOUT = 5,     /**< a wait ran out of time; the work goes on */
    M3_ERR_RANGE = 6,       /**< an offset, index or size lies outside its object */
    M3_ERR_ABI = 7,         /**< a plugin was made for another interface */
    M3_ERR_IO = 8,          /**< a file could not be read or written */
    M3_ERR_INTERNAL = 9,    /**< a bug of ours */
    M3_ERR_INTERRUPTED = 10 /**< the user asked to stop; what was done is saved */
} m3_status;

enum { M3_ERROR_FILE = 96, M3_ERROR_SUBJECT = 160, M3_ERROR_MESSAGE = 1024 };

/** What went wrong, where, and how to mend it. Owned by the caller, usually on its stack; nothing to free.
 * The layout never changes, so it carries no size. Start it with {0}. The first to fail writes it. */
typedef struct m3_error {
    m3_status code;
    int32_t line;
    char file[M3_ERROR_FILE];       /**< source file of the check that failed, or the input file */
    char subject[M3_ERROR_SUBJECT]; /**< the tensor, node, key, device or file it is about */
    char message[M3_ERROR_MESSAGE]; /**< a sentence: what, both values, the mend */
} m3_error;

/** Write an error unless one is there already, and return its code. Use the M3_FAIL macro.
 * @param err      May be NULL: then only the code is returned.
 * @param subject  What the error is about, or NULL. */
M3_PRINTF(6, 7)
static inline m3_status m3_error_set(m3_error *err, m3_status code, const char *file, int line, const char *subject,
                                     const char *format, ...)
{
    if (err == NULL || err->code != M3_OK) return code;
    err->code = code;
    err->line = (int32_t)line;
    (void)snprintf(err->file, sizeof err->file, "%s", file);
    (void)snprintf(err->subject, sizeof err->subject, "%s", subject != NULL ? subject : "");
    va_list args;
    va_start(args, format);
    (void)vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    return code;
}

/** return M3_FAIL(err, M3_ERR_INVALID, "key", "heads is %d; give ...", h); */
#define M3_FAIL(err, code, subject, ...) m3_error_set((err), (code), __FILE__, __LINE__, (subject), __VA_ARGS__)

/** Out of memory: a message that needs no memory. */
#define M3_FAIL_MEMORY(err, subject, bytes)                                                                            \
    M3_FAIL((err), M3_ERR_MEMORY, (subject), "could not allocate %zu bytes; free memory or use a smaller batch",       \
            (size_t)(bytes))

typedef enum m3_log_level { M3_LOG_ERROR = 0, M3_LOG_WARN = 1, M3_LOG_INFO = 2, M3_LOG_DEBUG = 3 } m3_log_level;

/** Receives one line without its newline. May be called from any thread. */
typedef void (*m3_log_fn)(void *user, m3_log_level level, const char *line);

/** Size of a struct up to the end of its last member: tail padding could swallow a member added later. */
#define M3_STRUCT_SIZE(type, last) ((uint32_t)(offsetof(type, last) + sizeof(((type *)0)->last)))
/** Does a struct that the other side filled reach this member? */
#define M3_HAS(pointer, type, member)                                                                                  \
    ((pointer) != NULL && (pointer)->size >= offsetof(type, member) + sizeof(((type *)0)->member))

/** An array that crosses the border: elements may grow, so step by stride, never by sizeof. */
typedef struct m3_span {
    uint32_t count;
    uint32_t stride; /**< bytes from one element to the next */
    const void *data;
} m3_span;

static inline const void *m3_span_at(m3_span span, uint32_t index)
{
    return (const unsigned char *)span.data + (size_t)index * span.stride;
}

#ifdef __cplusplus
}
#endif
#endif
