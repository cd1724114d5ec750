/* yaml: the part of YAML that a settings file needs. */
#ifndef M3_CORE_SETTINGS_YAML_H
#define M3_CORE_SETTINGS_YAML_H

#include "m3bsr/base.h"

/** Called for each pair of a YAML mapping, in order. @param list  The value was a list; its text is "[a, b]". */
typedef m3_status (*m3_yaml_pair)(void *user, const char *key, const char *value, bool list, uint32_t line,
                                  m3_error *err);
m3_status m3_yaml_read(const char *path, m3_yaml_pair pair, void *user, m3_error *err);
/** value as a YAML scalar, quoted when a plain one would read as something else. */
void m3_yaml_write(FILE *to, const char *value);

#endif
