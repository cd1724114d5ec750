/* plan: what m3_plan_ranks says of memory and of bytes is what ranks take and send; nothing is allocated in the sizes
 * that it speaks of; rows that lie with their owners, links and rates count as they should. */
#include "core/model/model.h"
#include "m3bsr/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/alloc.h"
#include "core/parallel/group.h"
#include "core/programs/programs.h"
#include "core/settings/settings.h"
#include "tests/support/training.h"

enum { MOST = 3 };

static training_ranks team;
static data_source source;

static m3_plan_options options_of(uint32_t ranks)
{
    return (m3_plan_options){
        .size = M3_STRUCT_SIZE(m3_plan_options, fallbacks),
        .ranks = ranks,
        .link = 1e9,
        .rates = {
            .size = M3_STRUCT_SIZE(m3_plan_rates, node_s), .flops = 1e12, .memory = 1e11, .bus = 1e10, .factor = 1.0}};
}

static m3_ranks_plan plan_of(const m3_settings *settings, const m3_plan_options *options)
{
    m3_error err = {0};
    m3_ranks_plan plan = {.size = M3_STRUCT_SIZE(m3_ranks_plan, files_making)};
    training_check(m3_plan_ranks(team.devices[0], settings, options, &plan, &err), &err);
    return plan;
}

static uint64_t sum(const uint64_t *of, int count)
{
    uint64_t all = 0;
    for (int i = 0; i < count; i++) all += of[i];
    return all;
}

static m3_settings *make_settings(const char *more)
{
    return training_settings(data_source_path(&source, "set"), "batch=5", "loss=sampled", "negatives=3", more, NULL);
}

static int runs;

/* The most that a rank sends in a training of so many steps. */
static uint64_t sent(const m3_settings *settings, uint32_t ranks, uint64_t steps)
{
    char run[32];
    uint64_t most = 0;
    m3_error err = {0};
    m3_group *group = NULL;
    m3_rank_device list[MOST] = {{0}};
    m3_train_result result = {.size = M3_STRUCT_SIZE(m3_train_result, told)};
    const m3_train_options options = {.size = M3_STRUCT_SIZE(m3_train_options, stop_after), .stop_after = steps};
    (void)snprintf(run, sizeof run, "run-%d", runs++);
    for (uint32_t i = 0; i < ranks; i++)
        list[i] = (m3_rank_device){.size = M3_STRUCT_SIZE(m3_rank_device, fallbacks), .device = team.devices[i]};
    training_check(m3_group_open(team.groups, "local", ranks, 60.0, (m3_span){0}, &group, &err), &err);
    const m3_span span = {.count = ranks, .stride = sizeof list[0], .data = list};
    assert_int_equal(m3_train_ranks(group, span, settings, data_source_path(&source, run), &options, &result, &err),
                     M3_ERR_INTERRUPTED);
    for (uint32_t i = 0; i < ranks; i++)
        if (m3_member_sent(m3_group_member(group, i)) > most) most = m3_member_sent(m3_group_member(group, i));
    m3_group_close(group);
    return most;
}

static void sends_what_ranks_send(void **state)
{
    m3_settings *settings = make_settings(*state);
    for (uint32_t ranks = 2; ranks <= MOST; ranks++) {
        const m3_plan_options options = options_of(ranks);
        const m3_ranks_plan plan = plan_of(settings, &options);
        const uint64_t step = sent(settings, ranks, 2) - sent(settings, ranks, 1);
        assert_int_equal(sum(plan.traffic, M3_PLAN_TRAFFICS), step);
    }
    m3_settings_free(settings);
}

static m3_settings *large_settings(void)
{
    m3_settings *settings = NULL;
    m3_error err = {0};
    static const char *const keys[] = {"behaviors=2", "modalities=[512]", "items=20741",  "width=128",
                                       "batch=256",   "loss=sampled",     "negatives=99", "length=20"};
    training_check(m3_settings_create(&settings, &err), &err);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        training_check(m3_settings_set(settings, keys[i], &err), &err);
    return settings;
}

/* A backend takes a little more for itself, as a device may for the ends of buffers. */
static void takes_what_programs_take(void **state)
{
    m3_error err = {0};
    m3_training keys;
    m3_store *store = NULL;
    m3_programs programs = {0};
    m3_model_config config = {0};
    m3_settings *settings = large_settings();
    training_check(m3_settings_set(settings, *state, &err), &err);
    training_check(m3_settings_set(settings, "batch=32", &err), &err);
    const m3_plan_options options = options_of(1);
    const m3_ranks_plan plan = plan_of(settings, &options);
    m3_settings_training(settings, &keys);
    training_check(m3_settings_config(team.engines[0], settings, &config, &err), &err);
    const uint64_t samples = keys.accumulate * (uint64_t)config.batch, window = m3_model_window_rows(&config, samples);
    const m3_programs_plan asked = {.device = team.devices[0],
                                    .config = &config,
                                    .batch = (uint32_t)config.batch,
                                    .accumulate = keys.accumulate,
                                    .parts = (uint32_t)keys.accumulate,
                                    .eval_batch = (uint32_t)keys.eval_batch,
                                    .window = keys.accumulate > 1 ? (uint32_t)window : 0,
                                    .key = "batch"};
    training_check(m3_store_create(team.devices[0], 1, &store, &err), &err);
    const uint64_t before = m3_device_memory_used(team.devices[0]);
    training_check(m3_programs_make(&asked, store, &programs, &err), &err);
    const uint64_t used = m3_device_memory_used(team.devices[0]) - before;
    const uint64_t planned = sum(plan.memory, M3_PLAN_MEMORIES) - plan.memory[M3_PLAN_HOST];
    m3_programs_free(&programs);
    m3_store_free(store);
    m3_settings_free(settings);
    if (planned > used || planned + planned / 20 < used)
        fail_msg("%llu bytes are planned, and %llu used", (unsigned long long)planned, (unsigned long long)used);
}

/* What a plan may ask for at once. */
static size_t largest;

static bool note_size(void *user, size_t bytes)
{
    (void)user;
    if (bytes > largest) largest = bytes;
    return true;
}

static void a_billion_items_need_not_be_there(void **state)
{
    (void)state;
    m3_settings *settings = large_settings();
    m3_plan_options options = options_of(64);
    options.items = 1000000000;
    largest = 0;
    m3_alloc_set_gate(note_size, NULL);
    const m3_ranks_plan whole = plan_of(settings, &options);
    options.sharded = true;
    const m3_ranks_plan sharded = plan_of(settings, &options);
    m3_alloc_set_gate(NULL, NULL);
    assert_true(largest < 4 << 20);
    assert_int_equal(whole.memory[M3_PLAN_TABLE], UINT64_C(1000000001) * 128 * 4); /* aligned to 64 bytes as it is */
    assert_int_equal(sharded.shard_rows, 15625001);
    assert_int_equal(sharded.memory[M3_PLAN_TABLE], UINT64_C(15625001) * 128 * 4);
    assert_int_equal(sharded.memory[M3_PLAN_MOMENTS], 2 * sharded.memory[M3_PLAN_TABLE]);
    assert_int_equal(sharded.files_items, UINT64_C(1000000001) * (4 + 512 * 4)); /* in training; denoised features */
    assert_true(sharded.files_making > 1000000001 * UINT64_C(512) * 4);
    assert_true(whole.files_items == 0 && sharded.files_events == 0);
    assert_int_equal(sharded.window_rows, 1 + 256 * (2 * 20 + 100) + 64 * 256);
    m3_settings_free(settings);
}

/* Ids, rows and gradients of the rows that others own; the window is all there is when a step names more than that. */
static void shards_send_rows(void **state)
{
    (void)state;
    m3_settings *settings = large_settings();
    m3_plan_options options = options_of(4);
    options.sharded = true;
    options.items = 1000000000;
    const m3_ranks_plan many = plan_of(settings, &options);
    assert_int_equal(many.traffic[M3_PLAN_ROWS], many.traffic[M3_PLAN_GRADIENTS]);
    const double named = 256.0 * 140.0 + 4 * 256.0, foreign = named * 3.0 / 4.0 * 128.0 * 4.0;
    assert_true((double)many.traffic[M3_PLAN_ROWS] <= foreign && (double)many.traffic[M3_PLAN_ROWS] > 0.999 * foreign);
    options.items = 1000;
    const m3_ranks_plan few = plan_of(settings, &options);
    assert_int_equal(few.window_rows, 1001);
    assert_int_equal(few.traffic[M3_PLAN_ROWS], 1000 * 3 / 4 * 128 * 4);
    assert_int_equal(few.traffic[M3_PLAN_SUMMED], many.traffic[M3_PLAN_SUMMED]);
    options.sharded = false;
    const m3_ranks_plan whole = plan_of(settings, &options);
    assert_true(whole.traffic[M3_PLAN_SUMMED] - few.traffic[M3_PLAN_SUMMED] >= 2 * 3 * 1001 * 128);
    assert_int_equal(whole.traffic[M3_PLAN_ROWS], 0);
    m3_settings_free(settings);
}

/* Users go to all ranks, which score all items between them, and their gradients come back; no rank has the table. */
static void shards_share_the_full_loss(void **state)
{
    (void)state;
    m3_error err = {0};
    m3_settings *settings = large_settings();
    m3_plan_options options = options_of(4);
    options.sharded = true;
    options.items = 100000000;
    training_check(m3_settings_set(settings, "fusion=none", &err), &err);
    const m3_ranks_plan sampled = plan_of(settings, &options);
    training_check(m3_settings_set(settings, "loss=full", &err), &err);
    const m3_ranks_plan full = plan_of(settings, &options);
    const uint64_t vectors = 3 * 256 * 128 * 4;
    assert_true(full.traffic[M3_PLAN_GRADIENTS] > vectors);
    assert_true(full.traffic[M3_PLAN_ROWS] - full.traffic[M3_PLAN_GRADIENTS] == 3 * sizeof(float));
    assert_true(full.traffic[M3_PLAN_LOSSES] - sampled.traffic[M3_PLAN_LOSSES] == 3 * 4 * 256 * 3 * sizeof(double));
    assert_int_equal(full.memory[M3_PLAN_TABLE], 25000001UL * 128 * 4);
    assert_true((double)full.memory[M3_PLAN_TEMPORARIES] <
                1.1 * (double)full.memory[M3_PLAN_TABLE]); /* of the update */
    /* Scores, again for their gradients, and two products of these. */
    const double each = 2.0 * 4 * 256 * 25e6 * 128;
    assert_true((double)(full.flops - sampled.flops) > 3.9 * each && (double)(full.flops - sampled.flops) < 6.0 * each);
    m3_settings_free(settings);
}

/* What can go while gradients are computed does, unless the pass is left out; the rest is the same. */
static void some_of_the_link_is_hidden(void **state)
{
    (void)state;
    static const char *const without[] = {"overlap", NULL};
    m3_settings *settings = large_settings();
    m3_plan_options options = options_of(2);
    const m3_ranks_plan with = plan_of(settings, &options);
    options.no_pass = without;
    const m3_ranks_plan plain = plan_of(settings, &options);
    const double whole = with.seconds[M3_PLAN_LINK] + with.hidden_s;
    assert_true(with.hidden_s > 0 && plain.hidden_s < 1e-9);
    assert_true(plain.seconds[M3_PLAN_LINK] < 1.0001 * whole && plain.seconds[M3_PLAN_LINK] > 0.9999 * whole);
    options.no_pass = NULL;
    options.rates.bus = 0; /* the processors that compute move the bytes */
    const m3_ranks_plan host = plan_of(settings, &options);
    assert_true(host.hidden_s < 1e-9 && host.seconds[M3_PLAN_LINK] > 0.9999 * whole);
    m3_settings_free(settings);
}

static double whole_link(const m3_ranks_plan *plan)
{
    return plan->seconds[M3_PLAN_LINK] + plan->hidden_s;
}

/* Rows of the next step are on their way as well, lazily; of a small table a step touches nearly all, so that fewer can
 * come early. They lie in the host's memory meanwhile. */
static void rows_of_the_next_step_are_hidden(void **state)
{
    (void)state;
    static const char *const without[] = {"overlap", NULL};
    m3_settings *settings = large_settings();
    m3_plan_options options = options_of(2), late = options;
    options.sharded = late.sharded = true;
    late.no_pass = without;
    options.items = late.items = 1000000000;
    const m3_ranks_plan with = plan_of(settings, &options), plain = plan_of(settings, &late);
    options.items = 40000;
    const m3_ranks_plan small = plan_of(settings, &options);
    const double rows = (double)with.traffic[M3_PLAN_ROWS] / options.link;
    assert_true(plain.hidden_s < 1e-9 && with.hidden_s > 0);
    assert_true(with.hidden_s > small.hidden_s);
    assert_true(with.seconds[M3_PLAN_LINK] < plain.seconds[M3_PLAN_LINK] - fmin(0.5 * rows, 0.9 * with.hidden_s));
    assert_true(whole_link(&with) > 0.99 * whole_link(&plain) && whole_link(&with) < 1.01 * whole_link(&plain));
    assert_int_equal(with.traffic[M3_PLAN_ROWS], plain.traffic[M3_PLAN_ROWS]);
    const uint64_t ids =
        2 * sizeof(int32_t) * 256 * (2 * 20 + 100 + 2) * with.own_batches; /* of the next step and that behind */
    assert_int_equal(with.memory[M3_PLAN_HOST] - plain.memory[M3_PLAN_HOST], with.window_rows * 128 * 4 + ids);
    m3_settings_free(settings);
}

static void rates_count(void **state)
{
    (void)state;
    m3_settings *settings = large_settings();
    const m3_plan_op twice = {"linear", 2.0};
    m3_plan_options options = options_of(2);
    const m3_ranks_plan base = plan_of(settings, &options);
    options.link *= 2;
    const m3_ranks_plan fast = plan_of(settings, &options);
    assert_true(whole_link(&fast) < 0.51 * whole_link(&base));
    assert_true(fast.seconds[M3_PLAN_BUS] == base.seconds[M3_PLAN_BUS]);
    options.link /= 2;
    options.rates.ops = (m3_span){.count = 1, .stride = sizeof twice, .data = &twice};
    const m3_ranks_plan slow = plan_of(settings, &options);
    assert_true(slow.seconds[M3_PLAN_ARITHMETIC] > base.seconds[M3_PLAN_ARITHMETIC]);
    assert_true(slow.seconds[M3_PLAN_ARITHMETIC] < 2 * base.seconds[M3_PLAN_ARITHMETIC]);
    options.rates.ops = (m3_span){0};
    options.crowd = 2;
    const m3_ranks_plan shared = plan_of(settings, &options);
    assert_true(shared.seconds[M3_PLAN_MEMORY] == 2 * base.seconds[M3_PLAN_MEMORY]);
    assert_true(whole_link(&shared) > 0.9999 * whole_link(&base) && whole_link(&shared) < 1.0001 * whole_link(&base));
    options.crowd = 1;
    options.latency = 1.0;
    const m3_ranks_plan late = plan_of(settings, &options);
    assert_true(whole_link(&late) >= 2.0 + whole_link(&base));
    m3_settings_free(settings);
}

static void refuses(void **state)
{
    (void)state;
    m3_error err = {0};
    m3_ranks_plan plan = {.size = M3_STRUCT_SIZE(m3_ranks_plan, files_making)};
    m3_settings *settings = large_settings();
    m3_plan_options options = options_of(2);
    options.items = UINT64_C(1) << 40;
    err = (m3_error){0};
    assert_int_equal(m3_plan_ranks(team.devices[0], settings, &options, &plan, &err), M3_ERR_RANGE);
    assert_string_equal(err.subject, "items");
    options = options_of(2);
    options.link = 0;
    err = (m3_error){0};
    assert_int_equal(m3_plan_ranks(team.devices[0], settings, &options, &plan, &err), M3_ERR_INVALID);
    assert_string_equal(err.subject, "link");
    m3_settings_free(settings);
}

static int start(void **state)
{
    (void)state;
    m3_error err = {0};
    if (training_data(&source, &err) != M3_OK) return -1;
    if (training_ranks_open(&team, M3BSR_BUILD_PLUGIN_DIR, &err) != M3_OK) return -1;
    return 0;
}

static int stop(void **state)
{
    (void)state;
    training_ranks_close(&team);
    data_source_remove(&source);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"a step sends what is planned", sends_what_ranks_send, NULL, NULL, (void *)"accumulate=1"},
        {"a step with gradients in buckets, too", sends_what_ranks_send, NULL, NULL, (void *)"width=66"},
        {"a step with two batches a rank, too", sends_what_ranks_send, NULL, NULL, (void *)"accumulate=6"},
        {"programs take the memory that is planned", takes_what_programs_take, NULL, NULL, (void *)"accumulate=1"},
        {"so do those of a step in two halves", takes_what_programs_take, NULL, NULL, (void *)"accumulate=2"},
        {"a billion items need not be there", a_billion_items_need_not_be_there, NULL, NULL, NULL},
        {"shards send rows", shards_send_rows, NULL, NULL, NULL},
        {"shards share the full loss", shards_share_the_full_loss, NULL, NULL, NULL},
        {"some of the link is hidden", some_of_the_link_is_hidden, NULL, NULL, NULL},
        {"rows of the next step are hidden, too", rows_of_the_next_step_are_hidden, NULL, NULL, NULL},
        {"rates of device and link count", rates_count, NULL, NULL, NULL},
        {"what makes no sense is refused", refuses, NULL, NULL, NULL},
    };
    return cmocka_run_group_tests(tests, start, stop);
}
