/* truth figures: sums over positions, in double and in the order of the positions, and AUC. */
#include <math.h>
#include <stdlib.h>

#include "core/serve/truth.h"

static int by_score(const void *a, const void *b)
{
    const m3_scored *x = a, *y = b;
    return x->score < y->score ? -1 : x->score > y->score;
}

/* Mann and Whitney: with ranks from 1, ties sharing their mean, AUC = (sum of ranks of noise - n (n + 1) / 2) / (n m).
 */
double m3_auc(m3_scored *scored, uint64_t count)
{
    double noise = 0.0, ranks = 0.0;
    if (count > 0) qsort(scored, count, sizeof *scored, by_score);
    for (uint64_t i = 0, end; i < count; i = end) {
        double tied = 0.0;
        for (end = i; end < count && scored[end].score == scored[i].score; end++) tied += scored[end].noise;
        noise += tied;
        ranks += tied * ((double)(i + 1) + (double)end) / 2.0;
    }
    const double others = (double)count - noise;
    return noise > 0.0 && others > 0.0 ? (ranks - noise * (noise + 1.0) / 2.0) / (noise * others) : (double)NAN;
}

double m3_squared_distance(const float *a, const float *b, uint32_t width)
{
    double sum = 0.0;
    for (uint32_t j = 0; j < width; j++) sum += ((double)a[j] - b[j]) * ((double)a[j] - b[j]);
    return sum;
}

double m3_noise_add(m3_noise_sums *sums, bool noisy, const float *clean, const float *encoded, const float *after,
                    uint32_t width)
{
    const double before = m3_squared_distance(encoded, clean, width), behind = m3_squared_distance(after, clean, width);
    const double change = m3_squared_distance(after, encoded, width);
    if (noisy) {
        sums->noisy++;
        sums->noisy_before += before;
        sums->noisy_after += behind;
    } else {
        sums->clean++;
        sums->clean_before += before;
        sums->clean_after += behind;
        sums->clean_change += change;
    }
    return change;
}

void m3_noise_join(m3_noise_sums *sums, const m3_noise_sums *others)
{
    sums->noisy += others->noisy;
    sums->clean += others->clean;
    sums->noisy_before += others->noisy_before;
    sums->noisy_after += others->noisy_after;
    sums->clean_before += others->clean_before;
    sums->clean_after += others->clean_after;
    sums->clean_change += others->clean_change;
    sums->clean_spread += others->clean_spread;
    sums->encoded_spread += others->encoded_spread;
}

/* A mean squared error over a variance: widths cancel out. */
static double over_variance(double errors, uint64_t count, double spread, uint64_t all)
{
    return count > 0 && spread > 0.0 ? errors / (double)count / (spread / (double)all) : (double)NAN;
}

void m3_noise_finish(const m3_noise_sums *s, m3_truth_features *to)
{
    const uint64_t all = s->noisy + s->clean;
    to->noisy = s->noisy;
    to->clean = s->clean;
    to->noisy_before = over_variance(s->noisy_before, s->noisy, s->clean_spread, all);
    to->noisy_after = over_variance(s->noisy_after, s->noisy, s->clean_spread, all);
    to->removed = s->noisy_before > 0.0 ? 1.0 - s->noisy_after / s->noisy_before : (double)NAN;
    to->clean_before = over_variance(s->clean_before, s->clean, s->clean_spread, all);
    to->clean_after = over_variance(s->clean_after, s->clean, s->clean_spread, all);
    to->clean_change = over_variance(s->clean_change, s->clean, s->encoded_spread, all);
}

void m3_moments_add(m3_moments *moments, const float *x, uint32_t width)
{
    moments->count++;
    for (uint32_t j = 0; j < width; j++) {
        moments->sum[j] += x[j];
        moments->square[j] += (double)x[j] * x[j];
    }
}

double m3_moments_spread(const m3_moments *moments, uint32_t width)
{
    double spread = 0.0;
    for (uint32_t j = 0; moments->count > 0 && j < width; j++)
        spread += moments->square[j] - moments->sum[j] * moments->sum[j] / (double)moments->count;
    return spread;
}
