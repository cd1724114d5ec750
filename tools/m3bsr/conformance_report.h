/* conformance_report: the reports of `m3bsr conformance`. What the layers find is collected in one JSON document, the
 * statement of conformance, and every report is made from it alone: the document itself (.json), a JUnit file (.xml),
 * and a page that carries it (.html). So `m3bsr conformance verify` can make each part of it again and compare.
 *
 *   {"statement": "m3bsr conformance", "format": 1, "verdict": "conformant", "because": [...],
 *    "product": "0.1.0", "abi": "1.2", "date": "2026-01-31T12:00:00Z", "seed": 1, "ended": true,
 *    "cases": null, "options": [...], "device": {...}, "list": {"version", "kind", "cases", "hash"},
 *    "layers": [{"name", "cases", "pass", "fail", "lack", "crash", "timeout", "share", "ms"}, ...],
 *    "lacks": [{"layer", "about", "type", "cases", "why"}, ...],
 *    "columns": ["case", "verdict", ...], "results": {"ops": [[...], ...], ...},
 *    "digest": "..."} */
#ifndef M3_TOOLS_CONFORMANCE_REPORT_H
#define M3_TOOLS_CONFORMANCE_REPORT_H

#include <jansson.h>
#include <stdio.h>

#include "tools/m3bsr/conformance.h"

enum { REPORT_FORMAT = 1, REPORT_DIGITS = 4 /* of a number; what is not written is not in the digest */ };

/** Places in a result's array. TEXT and AGAIN are there only where the verdict is not "pass". */
enum {
    RESULT_CASE,    /**< its name */
    RESULT_VERDICT, /**< "pass", "fail", "lack", "crash", "timeout" */
    RESULT_ABOUT,   /**< the op, module, file or duty that it is about */
    RESULT_TYPE,    /**< "f32", or "" */
    RESULT_RULES,   /**< why it is there: words between blanks */
    RESULT_SHARE,   /**< largest error as a share of what is allowed; null: nothing was measured, or not a number */
    RESULT_MS,
    RESULT_TEXT,  /**< what failed, or why it lacks */
    RESULT_AGAIN, /**< the command that repeats it */
    RESULT_COLUMNS
};

/** Parts of the statement (conformance_statement.c). All but the first take a document whose form was checked. */

/** NULL when the document has the form above; else what is wrong with it, static. */
const char *statement_malformed(const json_t *statement);
/** The columns of a result. Yours. */
json_t *statement_columns(void);
/** Layers with their counts, by the results. Yours; NULL: no memory. */
json_t *statement_layers(const json_t *results);
/** What lacks, cases of one op and type together. Yours; NULL: no memory. */
json_t *statement_lacks(const json_t *results);
/** The verdict that follows from the document. because: gets the reasons against "conformant". */
const char *statement_verdict(const json_t *statement, json_t *because);
/** The list of cases of this program, quick or full: version, number and hash of the names. Yours; NULL: no memory. */
json_t *statement_list(bool full);
/** The digest of all members but "digest" itself: XXH3, 128 bits, of the document with sorted keys and without blanks.
 * It notices accidents and changes by hand, not a liar: who changes a statement can compute it anew. */
bool statement_digest(const json_t *statement, char hex[33]);
/** The result's member, "" when it is no text. */
const char *result_text(const json_t *result, size_t column);
/** The text as JSON: what is not UTF-8 becomes U+FFFD, and control characters blanks. Yours. */
json_t *report_text(const char *text);

/** A number with three digits; null for NaN and infinity. Yours. */
json_t *report_number(double value);

/** Run so many random cases of the statement again, here: on --backend, or a device that is named as the statement's
 * (conformance_rerun.c). Returns how many did and passed; 0: not all passed, which `findings` then say. */
uint32_t statement_rerun(const json_t *statement, const cli *c, uint32_t count, json_t *findings);

/** The reports. The caller checks the stream. */
void report_junit(const json_t *statement, FILE *to);
void report_page(const json_t *statement, FILE *to);
/** Text of a page or an XML file. */
void report_escape(FILE *to, const char *text);

#endif
