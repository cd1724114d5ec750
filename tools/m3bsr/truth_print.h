/* truth_print: how a model compares with planted truth, on stdout. */
#ifndef M3_TOOLS_TRUTH_PRINT_H
#define M3_TOOLS_TRUTH_PRINT_H

#include "m3bsr/serve.h"

/** `"truth": {…}`, a member of an object. @param path  The folder of the truth. */
void truth_print_json(const m3_truth_report *report, const char *path);
void truth_print_text(const m3_truth_report *report, const char *path);

#endif
