/* lr_schedule: the learning rate of a step, and AdamW's bias corrections. */
#ifndef M3_CORE_TRAIN_LR_SCHEDULE_H
#define M3_CORE_TRAIN_LR_SCHEDULE_H

#include "core/settings/settings.h"

typedef struct m3_lr_schedule {
    m3_decay decay;
    double lr, lr_end, beta1, beta2;
    uint64_t warmup, total; /**< steps */
} m3_lr_schedule;

/** Of step t = 1, 2, …: rises linearly to lr over the warm-up, then stays, or falls to lr_end at step total. */
double m3_lr_schedule_at(const m3_lr_schedule *schedule, uint64_t t);
/** The graph's input "step": {lr, 1 - beta1^t, 1 - beta2^t}, computed in double. */
void m3_lr_schedule_fill(const m3_lr_schedule *schedule, uint64_t t, float step[3]);

#endif
