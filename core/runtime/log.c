/* log: lines of an engine, as far as its level lets them through. */
#include "core/runtime/log.h"

void m3_logger_write(const m3_logger *logger, m3_log_level level, const char *format, ...)
{
    char line[M3_ERROR_MESSAGE + 512];
    va_list args;
    if (level > logger->level) return;
    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    logger->write(logger->user, level, line);
}
