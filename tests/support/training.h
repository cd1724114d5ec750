/* training: small trainings for tests, and what two of them have in common. Every failure ends the test. */
#ifndef M3_TESTS_SUPPORT_TRAINING_H
#define M3_TESTS_SUPPORT_TRAINING_H

#include "m3bsr/settings.h"
#include "m3bsr/train.h"
#include "tests/support/data_source.h"

/** End the test with the error's text unless st is M3_OK. */
void training_check(m3_status st, const m3_error *err);
/** Settings of a small model on a set, then key=value texts, ended by NULL. m3_settings_free() them. */
m3_settings *training_settings(const char *set, ...);
/** Fill a source with a small synthetic set and import it. */
m3_status training_data(data_source *source, m3_error *err);
/** Train into a folder of the source; the status must be the wanted one. */
m3_train_result training_run(m3_device *device, const data_source *source, const m3_settings *settings, const char *run,
                             m3_train_options options, m3_status want, m3_error *err);
/** All tensors of a checkpoint of two runs of the source have the same bits, or are as near as `bound`. */
void training_same_tensors(const data_source *source, const char *a, const char *b, const char *name, double bound);

#endif
