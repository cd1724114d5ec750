#include "tools/m3bsr/truth_print.h"

#include <math.h>

#include "tools/m3bsr/cli.h"

/* As text. */

static const char *name_or_all(const char *name)
{
    return name != NULL ? name : "all";
}

/* A column of the given width; "-" where there is nothing to measure. */
static void print_number(double number, int width, int digits)
{
    if (isnan(number))
        (void)printf(" %*s", width, "-");
    else
        (void)printf(" %*.*f", width, digits, number);
}

static void print_features(const m3_truth_report *r)
{
    if (r->feature_count == 0) return;
    (void)printf("\nFeature noise: squared error to the clean encoding over its variance, around modality denoising\n"
                 "%-10s %-10s %8s %8s %9s %9s %8s %8s %8s %7s\n",
                 "behavior", "modality", "noisy", "before", "after", "removed", "clean", "after", "change", "AUC");
    for (uint32_t i = 0; i < r->feature_count; i++) {
        const m3_truth_features *f = &r->features[i];
        cli_show(stdout, "%-10s %-10s %8llu", name_or_all(f->behavior), name_or_all(f->modality),
                 (unsigned long long)f->noisy);
        print_number(f->noisy_before, 8, 4);
        print_number(f->noisy_after, 9, 4);
        print_number(100.0 * f->removed, 7, 1);
        (void)printf(" %% %8llu", (unsigned long long)f->clean);
        print_number(f->clean_after, 8, 4);
        print_number(f->clean_change, 8, 4);
        print_number(f->auc, 7, 4);
        (void)printf("\n");
    }
}

static void print_auc(const m3_truth_auc *auc)
{
    print_number(auc->accidental, 10, 4);
    print_number(auc->bursts, 7, 4);
    print_number(auc->alone, 7, 4);
}

static void print_events(const m3_truth_report *r)
{
    if (r->event_count == 0) return;
    (void)printf("\nAccidental events: AUC of the change by behavior denoising, over all modalities and of the ids\n"
                 "%-10s %8s %10s %8s %10s %7s %7s %10s %7s %7s\n",
                 "behavior", "genuine", "accidental", "in burst", "all", "bursts", "alone", "ids: all", "bursts",
                 "alone");
    for (uint32_t i = 0; i < r->event_count; i++) {
        const m3_truth_events *e = &r->events[i];
        cli_show(stdout, "%-10s %8llu %10llu %8llu", e->behavior, (unsigned long long)e->genuine,
                 (unsigned long long)e->accidental, (unsigned long long)e->bursts);
        print_auc(&e->all);
        print_auc(&e->ids);
        (void)printf("\n");
    }
}

static void print_weights(const m3_truth_report *r)
{
    (void)printf("\nWeights of the router, as shares of their behavior, and as planted\n%-10s %-10s %8s %8s %8s\n",
                 "behavior", "modality", "gate", "weight", "planted");
    for (uint32_t i = 0; i < r->weight_count; i++) {
        const m3_truth_weight *w = &r->weights[i];
        cli_show(stdout, "%-10s %-10s", w->behavior, w->modality);
        print_number(w->gate, 8, 4);
        print_number(w->weight, 8, 4);
        print_number(w->planted, 8, 4);
        (void)printf("\n");
    }
    if (isnan(r->calibration)) return;
    (void)printf("%-30s", "mean absolute difference");
    print_number(r->calibration, 17, 4);
    (void)printf("\n");
}

void truth_print_text(const m3_truth_report *report, const char *path)
{
    (void)printf("\n");
    cli_show(stdout, "Against the truth in %s\n", path);
    print_features(report);
    print_events(report);
    print_weights(report);
}

/* As JSON. */

static void print_member(const char *name, double number)
{
    (void)printf(", \"%s\": ", name);
    cli_json_number(number);
}

static void print_name(const char *key, const char *name)
{
    (void)printf("\"%s\": ", key);
    if (name != NULL)
        cli_json_text(name);
    else
        (void)printf("null");
}

static void print_features_json(const m3_truth_features *f)
{
    (void)printf("{");
    print_name("behavior", f->behavior);
    (void)printf(", ");
    print_name("modality", f->modality);
    (void)printf(", \"noisy\": {\"positions\": %llu", (unsigned long long)f->noisy);
    print_member("before", f->noisy_before);
    print_member("after", f->noisy_after);
    print_member("removed", f->removed);
    (void)printf("}, \"clean\": {\"positions\": %llu", (unsigned long long)f->clean);
    print_member("before", f->clean_before);
    print_member("after", f->clean_after);
    print_member("change", f->clean_change);
    (void)printf("}");
    print_member("auc", f->auc);
    (void)printf("}");
}

static void print_auc_json(const char *name, const m3_truth_auc *auc)
{
    (void)printf(", \"%s\": {\"accidental\": ", name);
    cli_json_number(auc->accidental);
    print_member("bursts", auc->bursts);
    print_member("alone", auc->alone);
    (void)printf("}");
}

static void print_events_json(const m3_truth_events *e)
{
    (void)printf("{");
    print_name("behavior", e->behavior);
    (void)printf(", \"genuine\": %llu, \"accidental\": %llu, \"bursts\": %llu", (unsigned long long)e->genuine,
                 (unsigned long long)e->accidental, (unsigned long long)e->bursts);
    print_auc_json("auc", &e->all);
    print_auc_json("auc_ids", &e->ids);
    (void)printf("}");
}

static void print_weight_json(const m3_truth_weight *w)
{
    (void)printf("{");
    print_name("behavior", w->behavior);
    (void)printf(", ");
    print_name("modality", w->modality);
    print_member("gate", w->gate);
    print_member("weight", w->weight);
    print_member("planted", w->planted);
    (void)printf("}");
}

void truth_print_json(const m3_truth_report *r, const char *path)
{
    (void)printf("\"truth\": {");
    print_name("folder", path);
    (void)printf(", \"features\": [");
    for (uint32_t i = 0; i < r->feature_count; i++) {
        (void)printf("%s", i == 0 ? "" : ", ");
        print_features_json(&r->features[i]);
    }
    (void)printf("], \"events\": [");
    for (uint32_t i = 0; i < r->event_count; i++) {
        (void)printf("%s", i == 0 ? "" : ", ");
        print_events_json(&r->events[i]);
    }
    (void)printf("], \"weights\": [");
    for (uint32_t i = 0; i < r->weight_count; i++) {
        (void)printf("%s", i == 0 ? "" : ", ");
        print_weight_json(&r->weights[i]);
    }
    (void)printf("]");
    print_member("calibration", r->calibration);
    (void)printf("}");
}
