/* lr_schedule: the learning rate of step t = 1, 2, …, and AdamW's bias corrections, in double.
 *   t <= warmup       lr t / warmup
 *   constant          lr
 *   linear            lr + (lr_end - lr) p,  p = (t - warmup) / (total - warmup)
 *   cosine            lr_end + (lr - lr_end) (1 + cos(pi p)) / 2 */
#include "core/train/lr_schedule.h"

#include <math.h>

static const double pi = 3.14159265358979323846;

double m3_lr_schedule_at(const m3_lr_schedule *s, uint64_t t)
{
    if (s->warmup > 0 && t <= s->warmup) return s->lr * (double)t / (double)s->warmup;
    if (s->decay == M3_DECAY_NONE) return s->lr;
    double p = s->total > s->warmup ? (double)(t - s->warmup) / (double)(s->total - s->warmup) : 1.0;
    if (p > 1.0) p = 1.0;
    if (s->decay == M3_DECAY_LINEAR) return s->lr + (s->lr_end - s->lr) * p;
    return s->lr_end + (s->lr - s->lr_end) * 0.5 * (1.0 + cos(pi * p));
}

/* 1 - beta^t = -expm1(t log beta), which keeps its digits where beta^t is near 1. */
static float correction(double beta, uint64_t t)
{
    return beta > 0.0 ? (float)-expm1((double)t * log(beta)) : 1.0F;
}

void m3_lr_schedule_fill(const m3_lr_schedule *s, uint64_t t, float step[3])
{
    step[0] = (float)m3_lr_schedule_at(s, t);
    step[1] = correction(s->beta1, t);
    step[2] = correction(s->beta2, t);
}
