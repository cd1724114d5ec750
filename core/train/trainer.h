/* trainer: what a call of m3_train() works on: setup.c fills it, step.c does a step, train.c counts epochs. */
#ifndef M3_CORE_TRAIN_TRAINER_H
#define M3_CORE_TRAIN_TRAINER_H

#include <jansson.h>

#include "core/parallel/group.h"
#include "core/programs/programs.h"
#include "core/run/checkpoint.h"
#include "core/run/run.h"
#include "core/run/trace.h"
#include "core/serve/infer.h"
#include "core/serve/rank.h"
#include "core/serve/warm_start.h"
#include "core/settings/settings.h"
#include "core/train/data_loader.h"
#include "core/train/lr_schedule.h"
#include "core/train/sums.h"
#include "m3bsr/serve.h"
#include "m3bsr/train.h"

enum { M3_RECENT_STEPS = 32 };

/* Of a batch: its rows, and its losses, whose mean over the batches is that of the step (m3_build_options.parts). */
typedef struct m3_losses {
    double rows, terms[M3_LOSSES];
} m3_losses;

/* A rank's device, for people and for comparing. */
typedef struct m3_rank_name {
    char name[64], kind[288];
    uint32_t threads;
} m3_rank_name;

/* What a rank shares with others (ranks.h). */
typedef struct m3_shared {
    m3_member *member;    /* NULL: alone */
    uint32_t rank, count; /* 0 and 1 alone */
    uint32_t *summed;     /* [summed_count] sums of gradients in the store, by bucket */
    uint32_t *kept;       /* [kept_count] parameters and states of steps */
    uint32_t summed_count, kept_count;
    uint32_t buckets, *bucket_end; /* [buckets] in `summed` */
    uint32_t sent;                 /* buckets of this step that were given to `sums` */
    m3_sums *sums;                 /* NULL: there is one bucket, sent behind the backward pass, and nothing else */
    unsigned char *data;           /* [bytes] on their way, the sums at least */
    uint64_t bytes;
    void *message;       /* losses or places of one rank, then of all */
    m3_rank_name *names; /* [count] */
    bool mixed;          /* devices that round differently, so that rank 0's results go to all */
    bool stop;           /* one of the ranks was asked to stop */
    bool heard, known;   /* the training ended by what other ranks said; by what all see alike */
    double waited;       /* seconds until this epoch's begin */
    double *waits;       /* [count] seconds that each rank has waited since then */
    bool traced;         /* rank 0 writes a trace */
} m3_shared;

typedef struct m3_window m3_window; /* window.h */
typedef struct m3_shards m3_shards; /* shards.h */

typedef struct m3_trainer {
    /* Given by the caller. */
    m3_device *device;
    m3_engine *engine;
    const m3_settings *settings;
    m3_training keys; /* training's own keys of the settings */
    m3_train_options options;
    m3_shared shared; /* its member */
    m3_settings *own; /* the settings with another `accumulate`, NULL: as they were given */

    /* Data. */
    m3_model_config config;
    m3_dataset *set;
    m3_split *split;
    m3_denoised denoised; /* of the set and its split */
    m3_warm_start from;   /* zeros unless it is wanted, and behind m3_trainer_init() */
    m3_data_loader *loader;
    const m3_sample *valid;
    uint64_t valid_count;
    uint32_t *ranks;  /* [valid_count] */
    m3_metric metric; /* that chooses the best epoch */
    m3_cuts cuts;     /* of the metrics in the log */

    /* What computes. */
    m3_store *store;
    m3_programs programs;
    m3_window *window;    /* NULL: steps see all of the item table */
    m3_shards *shards;    /* NULL: the item table is whole */
    m3_batch batch;       /* inputs of programs.step */
    m3_step_samples step; /* at hand */
    m3_losses *losses;    /* [accumulate] of the step's batches */
    m3_lr_schedule schedule;

    /* The run directory. */
    m3_run run;
    char *last, *best;       /* paths of the checkpoints */
    const char *resume_from; /* the one of them to resume from */
    bool goes_on;            /* it is there and wanted */
    bool saved;              /* there is a last checkpoint, made after saved_steps */
    uint64_t saved_steps;
    m3_trace *trace; /* NULL when none is wanted or when it is complete */

    /* How far it is. */
    m3_trainer_state state; /* all that a checkpoint keeps beside the tensors */
    m3_places places;       /* of the epoch's validation */
    uint64_t done;          /* steps of this call */
    double began, epoch_began;
    double steps_s;                 /* seconds of the epoch's steps, 0 until they are done */
    uint64_t epoch_rows;            /* of this call */
    double recent[M3_RECENT_STEPS]; /* losses of the last steps, a ring */
    uint64_t recent_count;          /* since this call began */
    json_t *warned;                 /* parts of the model that were told to be dead; NULL: none */
} m3_trainer;

/** Make the trainer ready for its next step. The caller has filled the first section, zeroed the others, and calls
 * m3_trainer_fini() whatever comes.
 * @param folder  The run directory. */
m3_status m3_trainer_init(m3_trainer *trainer, const char *folder, m3_error *err);
void m3_trainer_fini(m3_trainer *trainer);

/** From its first section to the end of the training, m3_trainer_fini() included. */
m3_status m3_trainer_train(m3_trainer *trainer, const char *run, const m3_train_options *options,
                           m3_train_result *result, m3_error *err);

/** Whose histories the model sees, and how. */
m3_infer_source m3_trainer_source(const m3_trainer *trainer);

/** A step has so many batches at most. */
uint32_t m3_trainer_parts(const m3_trainer *trainer);
/** Validation samples are ranked in batches of so many. */
uint64_t m3_trainer_eval_batch(const m3_trainer *trainer);
uint64_t m3_trainer_eval_batches(const m3_trainer *trainer);
/** Instruments look at so many samples at a time; 0: at none. */
uint32_t m3_trainer_watched(const m3_trainer *trainer);

/** One step; some of the first steps go into the trace when one is wanted. M3_ERR_INTERRUPTED: it
 * was stopped between its batches or in one, and the state is that of before it. */
m3_status m3_trainer_step(m3_trainer *trainer, m3_error *err);
/** Put the trace in place where there is one, with what all ranks have; it is complete then. */
m3_status m3_trainer_end_trace(m3_trainer *trainer, m3_error *err);
/** Write the last checkpoint. Called between steps alone. */
m3_status m3_trainer_save(m3_trainer *trainer, m3_error *err);

#endif
