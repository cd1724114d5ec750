/* log: lines of an engine, as far as its level lets them through. */
#ifndef M3_CORE_RUNTIME_LOG_H
#define M3_CORE_RUNTIME_LOG_H

#include "m3bsr/base.h"

typedef struct m3_logger {
    m3_log_fn write;
    void *user; /* first argument of write */
    m3_log_level level;
} m3_logger;

M3_PRINTF(3, 4)
void m3_logger_write(const m3_logger *logger, m3_log_level level, const char *format, ...);

#endif
