/* example: open a data set, train a small model on it, and recommend. Usage: example SET RUN */
#include <m3bsr/serve.h>
#include <m3bsr/train.h>
#include <m3bsr/version.h>

#include <stdio.h>

enum { USERS = 3, TOP = 5 };

static const char *const assignments[] = {"width=16",       "heads=2",       "length=8",     "expert_layers=1",
                                          "infer_start=10", "infer_steps=1", "batch=64",     "epochs=2",
                                          "lr=0.002",       "loss=sampled",  "negatives=20", "seed=7"};

static m3_status configure(m3_settings **settings, const char *set, m3_error *err)
{
    char data[4096];
    (void)snprintf(data, sizeof data, "data=%s", set);
    m3_status st = m3_settings_create(settings, err);
    if (st == M3_OK) st = m3_settings_set(*settings, data, err);
    for (size_t i = 0; st == M3_OK && i < sizeof assignments / sizeof *assignments; i++)
        st = m3_settings_set(*settings, assignments[i], err);
    return st;
}

static void report(void *user, const m3_progress *progress)
{
    (void)user;
    if (progress->note != NULL) (void)fprintf(stderr, "%s\n", progress->note);
}

static m3_status recommend(m3_served *served, m3_error *err)
{
    static const uint32_t users[USERS] = {0, 1, 2};
    m3_recommendation items[USERS * TOP];
    const m3_dataset *set = m3_served_dataset(served);
    m3_status st = m3_recommend(served, NULL, users, USERS, TOP, M3_EXCLUDE_TARGET, items, err);
    for (uint32_t i = 0; st == M3_OK && i < USERS * TOP; i++) {
        if (items[i].item == 0) continue; /* fewer than TOP were left */
        printf("%s\t%s\t%.4f\n", m3_dataset_user_id(set, users[i / TOP]), m3_dataset_item_id(set, items[i].item),
               (double)items[i].score);
    }
    return st;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        (void)fprintf(stderr, "usage: example SET RUN\n");
        return 2;
    }
    m3_error err = {0};
    m3_status st;
    m3_engine *engine = NULL;
    m3_device *device = NULL;
    m3_settings *settings = NULL;
    m3_served *served = NULL;
    m3_train_result result = {.size = M3_STRUCT_SIZE(m3_train_result, early)};
    const m3_train_options training = {.size = M3_STRUCT_SIZE(m3_train_options, stop_after), .progress = report};
    const m3_serve_options serving = {.size = M3_STRUCT_SIZE(m3_serve_options, fallbacks)};

    (void)fprintf(stderr, "m3bsr %s\n", m3_version());
    if ((st = m3_engine_create(NULL, &engine, &err)) != M3_OK) goto done;
    if ((st = m3_device_open(engine, "auto", (m3_span){0}, &device, &err)) != M3_OK) goto done;
    if ((st = configure(&settings, argv[1], &err)) != M3_OK) goto done;
    if ((st = m3_train(device, settings, argv[2], &training, &result, &err)) != M3_OK) goto done;
    if ((st = m3_serve(device, argv[2], &serving, &served, &err)) != M3_OK) goto done;
    st = recommend(served, &err);
done:
    if (st != M3_OK) (void)fprintf(stderr, "error: %s: %s\n", err.subject, err.message);
    m3_served_free(served);
    m3_settings_free(settings);
    m3_device_close(device);
    m3_engine_free(engine);
    return st == M3_OK ? 0 : 1;
}
