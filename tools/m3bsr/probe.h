/* probe: commands that look at all plugins do it in a child process. A plugin that crashes, exits or hangs while it is
 * loaded, opened or listed ends the child, and the next one leaves that file alone and tells why. */
#ifndef M3_TOOLS_PROBE_H
#define M3_TOOLS_PROBE_H

#include "tools/m3bsr/cli.h"

/** Run the command in children until one gets through; prints what that one printed. argv: as the command got it.
 * @param seconds  That a plugin may take for one thing that it is asked for.
 * Returns the exit status. */
int probe_run(char *const *argv, unsigned seconds);
/** In the child: take the files to avoid from its role, and let the parent hear of every plugin that is touched. */
void probe_begin(cli *c, char *role);
/** In the child, last: all has been printed. */
void probe_end(int status);

#endif
