/* save: the checkpoints of a training, which one rank writes, or all of them in parts. All ranks call these alike. */
#ifndef M3_CORE_TRAIN_SAVE_H
#define M3_CORE_TRAIN_SAVE_H

#include "core/train/trainer.h"

/** Where the ranks will write in parts: write empty ones, so that a folder which they do not share ends the training
 * before its first step, M3_ERR_INVALID. */
m3_status m3_save_rehearse(m3_trainer *trainer, m3_error *err);
/** The store and the state at path, the run's last or best checkpoint. The other ranks do not wait until it is done.
 * Called between steps alone. */
m3_status m3_save_checkpoint(m3_trainer *trainer, const char *path, m3_error *err);
/** The store from a checkpoint, whoever wrote it: all that rank 0 has, on it, and the rows of a table in shards, on
 * each rank. */
m3_status m3_save_load(m3_trainer *trainer, const char *path, m3_error *err);

#endif
