/* memory: lack of it in the JSON that the tool makes and reads. A list that misses an entry is no error for jansson,
 * and would be a wrong result for whoever compares it; so its requests are watched. */
#include <stdatomic.h>
#include <stdlib.h>

#include <jansson.h>

#include "tools/m3bsr/cli.h"

static atomic_bool ran_out; /* jansson's functions know no user */

void *cli_allocate(size_t bytes)
{
    void *block = malloc(bytes);
    if (block == NULL) atomic_store(&ran_out, true);
    return block;
}

void cli_watch_memory(void)
{
    json_set_alloc_funcs(cli_allocate, free);
}

bool cli_lacks_memory(void)
{
    return atomic_load(&ran_out);
}

int cli_no_memory(void)
{
    (void)fputs("error: memory ran out; what was printed or written may lack something. Free memory and try again\n",
                stderr);
    return CLI_SYSTEM;
}
