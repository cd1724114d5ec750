/* null_descriptor: has the symbol and returns nothing. */
#include "m3bsr/plugin.h"

M3_API const m3_plugin *m3_plugin_query(void)
{
    return NULL;
}
