/* host: what a rank takes of its host beside the device's memory, in bytes. A training says it before its first step,
 * and a plan (core/plan) before there is one. */
#ifndef M3_CORE_TRAIN_HOST_H
#define M3_CORE_TRAIN_HOST_H

#include "core/train/trainer.h"

/** Of the host's memory. */
typedef struct m3_host_moved {
    uint32_t ranks;
    uint64_t sums, largest; /**< bytes of the sums of gradients, and of the largest tensor that all ranks keep */
    uint64_t window, row;   /**< rows of a window that come from other ranks, 0: none; bytes of one */
    uint64_t named;         /**< ids of items that a rank's step names */
    bool ahead;             /**< rows of the next step come before it (prefetch.h) */
} m3_host_moved;

/** Sums and parcels on their way between ranks. */
uint64_t m3_host_moved_bytes(const m3_host_moved *moved);
/** The host's blocks of inputs and outputs of an executable; NULL has none. */
uint64_t m3_host_blocks(const m3_executable *executable);

/** Files without a name beside the run (core/data/split.h), which a rank of shards has. */
typedef struct m3_host_files {
    uint64_t items;  /**< what has an entry, a row or several for each item */
    uint64_t events; /**< what has one for each user, event or sample, at most */
    uint64_t making; /**< more while these are made, at most */
} m3_host_files;

/** What a set has, beside its items. Zeros: none is there yet, so that nothing is known of it. */
typedef struct m3_host_counts {
    uint64_t users, events, targets; /**< targets: events of the behavior that is learned */
    bool starts;                     /**< a training on it starts from another run */
} m3_host_counts;

m3_host_counts m3_host_count(const m3_dataset *set, uint32_t target);
m3_host_files m3_host_files_of(const m3_model_config *config, const m3_host_counts *counts);

/** One line of what rank 0 takes, a rank of shards. */
void m3_host_say(const m3_trainer *trainer, char *text, size_t bytes);

#endif
