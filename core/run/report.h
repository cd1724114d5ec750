/* report: what a person and a script look at after a training. */
#ifndef M3_CORE_RUN_REPORT_H
#define M3_CORE_RUN_REPORT_H

#include "m3bsr/base.h"

/** metrics.json and report.html from log.jsonl and settings.yaml (report.c). */
m3_status m3_report_write(const char *folder, m3_error *err);

#endif
