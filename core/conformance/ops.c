/* ops: the list of cases, or a part of it, on one device; the public face of cases.h. */
#include "core/conformance/cases.h"

static void count(m3_cases_report *all, const m3_case_result *result)
{
    all->run++;
    all->passed += result->verdict == M3_VERDICT_PASS;
    all->failed += result->verdict == M3_VERDICT_FAIL;
    all->lacking += result->verdict == M3_VERDICT_LACKS;
    all->native += result->native;
    if (result->share > all->share) all->share = result->share;
}

static void report_case(const m3_cases_options *options, const m3_case *c, const m3_case_result *result)
{
    const m3_case_report report = {.size = M3_STRUCT_SIZE(m3_case_report, text),
                                   .name = c->name,
                                   .verdict = result->verdict,
                                   .native = result->native,
                                   .share = result->share,
                                   .text = result->text};
    if (options->done != NULL) options->done(options->user, &report);
}

m3_status m3_conformance_cases(m3_device *device, m3_device *reference, const m3_cases_options *options,
                               m3_cases_report *report, m3_error *err)
{
    m3_cases_report all = {.size = M3_STRUCT_SIZE(m3_cases_report, share), .version = M3_CASES_VERSION};
    const m3_op_lookup *lookup = m3_engine_ops(m3_device_engine(reference));
    for (uint32_t i = 0; i < m3_case_count(); i++) {
        m3_case c;
        m3_case_result result;
        m3_status st = m3_case_at(i, &c, err);
        if (st != M3_OK) return st;
        if (options->pattern != NULL && !m3_case_matches(&c, options->pattern)) continue;
        if (options->gradients)
            m3_case_run_gradient(reference, lookup, &c, options->seed, &result);
        else
            m3_case_run(device, reference, lookup, &c, options->seed, &result);
        if (result.verdict == M3_VERDICT_SKIP) continue;
        count(&all, &result);
        report_case(options, &c, &result);
    }
    if (all.run == 0)
        return M3_FAIL(err, M3_ERR_INVALID, options->pattern != NULL ? options->pattern : "conformance",
                       "matches none of the %u cases of this layer; * and ? stand for any characters", m3_case_count());
    *report = all;
    return M3_OK;
}
