/* no_symbol: a shared object that is no plugin. */
#include "m3bsr/base.h"

M3_API int another_symbol(void);

M3_API int another_symbol(void)
{
    return 1;
}
