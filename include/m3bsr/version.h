/* version: the release that these headers belong to. The build reads the three numbers from here and nowhere else.
 * The plugin interface has a version of its own, in m3bsr/plugin.h. */
#ifndef M3BSR_VERSION_H
#define M3BSR_VERSION_H

#include "m3bsr/base.h"

#define M3BSR_VERSION_MAJOR 0
#define M3BSR_VERSION_MINOR 1
#define M3BSR_VERSION_PATCH 0

#ifdef __cplusplus
extern "C" {
#endif

/** The version of the library that runs, "0.1.0"; it may be newer than the headers that were compiled against.
 * Static memory, nothing to free. Any thread. */
M3_API const char *m3_version(void);

#ifdef __cplusplus
}
#endif
#endif
