/* version: the library's own answer to "which release is this". */
#include "m3bsr/version.h"

#define TEXT(number)                #number
#define DOTTED(major, minor, patch) TEXT(major) "." TEXT(minor) "." TEXT(patch)

const char *m3_version(void)
{
    return DOTTED(M3BSR_VERSION_MAJOR, M3BSR_VERSION_MINOR, M3BSR_VERSION_PATCH);
}
