/* output: the outfile of those who call the library. */
#include "m3bsr/output.h"

#include <string.h>

#include "core/base/alloc.h"
#include "core/base/outfile.h"

struct m3_output {
    m3_outfile file;
};

m3_status m3_output_check(const char *path, const char *const *inputs, uint32_t count, m3_error *err)
{
    return m3_outfile_check(path, inputs, count, err);
}

m3_status m3_output_open(const char *path, m3_output **output, m3_error *err)
{
    m3_output *made = m3_calloc(1, sizeof *made);
    *output = NULL;
    if (made == NULL) return M3_FAIL_MEMORY(err, path, sizeof *made);
    const m3_status st = m3_outfile_open(&made->file, path, err);
    if (st == M3_OK)
        *output = made;
    else
        m3_free(made);
    return st;
}

FILE *m3_output_stream(m3_output *output)
{
    return output->file.stream;
}

m3_status m3_output_commit(m3_output *output, m3_error *err)
{
    const m3_status st = m3_outfile_commit(&output->file, err);
    m3_free(output);
    return st;
}

void m3_output_discard(m3_output *output)
{
    if (output == NULL) return;
    m3_outfile_discard(&output->file);
    m3_free(output);
}
