/* The cpu backend's matrix product against a plain one in double precision: each set of instructions, transposes, odd
 * shapes, types, what follows the sum, batches; nothing is touched beside C; the same bits with any number of threads.
 * Labels: threads */
#include "backends/cpu/gemm.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/conformance/values.h"

enum { GUARD = 38, MOST_THREADS = 3 };
/* The thread sanitizer looks at what threads do. odd_shapes() has none, so that a part of them is enough there, and the
 * plain product takes minutes: that all threads give the same bits is still looked at. */
#ifdef __SANITIZE_THREAD__
enum { EACH = 13, COMPARED = 0 };
#else
enum { EACH = 1, COMPARED = 1 };
#endif
/* A NaN, of 16 bits, too: reading it shows, and so does overwriting it. */
static const uint32_t guard_bits = 0x7fcd7fcd;

/* Threads that take tasks from a counter. */
typedef struct crew {
    cpu_task_fn fn;
    void *arg;
    uint32_t tasks;
    _Atomic uint32_t next, worker;
} crew;

static void *crew_work(void *arg)
{
    crew *c = arg;
    uint32_t worker = atomic_fetch_add(&c->worker, 1);
    for (uint32_t task; (task = atomic_fetch_add(&c->next, 1)) < c->tasks;) c->fn(c->arg, task, worker);
    return NULL;
}

static void crew_run(void *pool, uint32_t tasks, cpu_task_fn fn, void *arg)
{
    const uint32_t *threads = pool;
    pthread_t other[MOST_THREADS];
    crew c = {.fn = fn, .arg = arg, .tasks = tasks};
    for (uint32_t i = 1; i < *threads; i++) assert_int_equal(pthread_create(&other[i], NULL, crew_work, &c), 0);
    (void)crew_work(&c);
    for (uint32_t i = 1; i < *threads; i++) assert_int_equal(pthread_join(other[i], NULL), 0);
}

/* The last task first, workers in turn: an order that no thread would take, and cheap. */
static void backwards_run(void *pool, uint32_t tasks, cpu_task_fn fn, void *arg)
{
    const uint32_t *threads = pool;
    for (uint32_t task = tasks; task-- > 0;) fn(arg, task, task % *threads);
}

typedef struct machines {
    uint32_t count;
    cpu_machine machine[4];
} machines;

static machines machines_here(void)
{
    machines all = {0};
    for (cpu_isa isa = CPU_PORTABLE; isa <= CPU_AVX512BF16; isa++) {
        m3_error err = {0};
        m3_status st = cpu_machine_init(&all.machine[all.count], cpu_isa_name(isa), &err);
        if (st == M3_OK)
            all.count++;
        else
            assert_int_equal(st, M3_ERR_UNSUPPORTED);
    }
    return all;
}

/* An operand in memory of its own, of exactly the size it needs and aligned to 4 bytes only. */
typedef struct held {
    void *memory, *data;
    float *full;         /* the same numbers */
    size_t count, bytes; /* of elements, and of one */
    m3_dtype type;
} held;

static double at(m3_dtype type, const void *data, size_t i)
{
    double value;
    m3_values_decode(type, (const unsigned char *)data + i * m3_dtype_bytes(type), 1, &value);
    return value;
}

static void put(m3_dtype type, void *data, size_t i, double value)
{
    m3_values_encode(type, &value, 1, (unsigned char *)data + i * m3_dtype_bytes(type));
}

static held hold(m3_dtype type, size_t count, uint32_t *seed)
{
    const size_t bytes = m3_dtype_bytes(type);
    held h = {malloc(count * bytes + 4), NULL, malloc((count + 1) * sizeof(float)), count, bytes, type};
    assert_true(h.memory != NULL && h.full != NULL);
    h.data = (unsigned char *)h.memory + 4;
    for (size_t i = 0; i < count; i++) {
        *seed = *seed * 1664525u + 1013904223u;
        put(type, h.data, i, (double)(*seed >> 8) * 0x1p-23 - 1.0);
        h.full[i] = (float)at(type, h.data, i);
    }
    return h;
}

typedef struct trial {
    cpu_gemm gemm;
    held a, b, bias, residual, gate, c, sums;
    bool in_place; /* the residual is C */
} trial;

typedef struct layout {
    m3_dtype in, out;
    size_t batch[2], m, n, k;
    size_t pad; /* elements between rows */
    bool a_transposed, b_transposed;
    bool a_shared[2], b_shared[2]; /* along a batch axis */
    bool bias, residual, gate, in_place;
    cpu_activation act;
} layout;

static size_t matrix_count(size_t rows, size_t columns, size_t row)
{
    return rows == 0 || columns == 0 ? 0 : (rows - 1) * row + columns;
}

static cpu_operand operand(held *h, m3_dtype type, const size_t batch[2], const bool shared[2], size_t rows,
                           size_t columns, size_t pad, bool transposed, uint32_t *seed)
{
    cpu_operand x = {.row = columns + pad, .transposed = transposed};
    const size_t one = rows * x.row;
    x.batch[1] = shared[1] ? 0 : one;
    x.batch[0] = shared[0] ? 0 : shared[1] ? one : batch[1] * one;
    size_t products = (shared[0] ? 1 : batch[0]) * (shared[1] ? 1 : batch[1]);
    *h = hold(type, products == 0 ? 0 : (products - 1) * one + matrix_count(rows, columns, x.row), seed);
    x.data = h->data;
    return x;
}

static trial trial_make(const layout *l)
{
    static const bool own[2] = {false, false};
    uint32_t seed = (uint32_t)(l->m * 131 + l->n * 17 + l->k + 1);
    trial t = {.in_place = l->in_place};
    cpu_gemm *g = &t.gemm;
    *g = (cpu_gemm){.batch = {l->batch[0], l->batch[1]}, .m = l->m, .n = l->n, .k = l->k, .act = l->act};
    g->in = l->in;
    g->out = l->out;
    g->a = operand(&t.a, l->in, l->batch, l->a_shared, l->a_transposed ? l->k : l->m, l->a_transposed ? l->m : l->k,
                   l->pad, l->a_transposed, &seed);
    g->b = operand(&t.b, l->in, l->batch, l->b_shared, l->b_transposed ? l->n : l->k, l->b_transposed ? l->k : l->n,
                   l->pad, l->b_transposed, &seed);
    if (l->bias) g->bias = operand(&t.bias, M3_F32, l->batch, l->b_shared, 1, l->n, 0, false, &seed);
    if (l->residual) g->residual = operand(&t.residual, l->out, l->batch, own, l->m, l->n, l->pad, false, &seed);
    if (l->gate) g->gate = operand(&t.gate, l->out, l->batch, own, l->m, l->n, 2 * l->pad, false, &seed);
    g->c_row = l->n + l->pad;
    g->c_batch[1] = l->m * g->c_row;
    g->c_batch[0] = l->batch[1] * g->c_batch[1];
    t.c = hold(l->out, 2 * GUARD + l->batch[0] * g->c_batch[0], &seed);
    g->c = (unsigned char *)t.c.data + GUARD * t.c.bytes;
    if (l->in != M3_F32 && (l->a_transposed || !l->b_transposed)) {
        g->sums_of_a = l->a_transposed;
        t.sums = hold(M3_F32, l->batch[0] * l->batch[1] * (g->sums_of_a ? l->m : l->n), &seed);
        g->sums = t.sums.data;
    }
    if (l->in_place) {
        g->residual.data = g->c;
        g->residual.row = g->c_row;
        memcpy(g->residual.batch, g->c_batch, sizeof g->c_batch);
    }
    return t;
}

static void trial_free(trial *t)
{
    held *all[] = {&t->a, &t->b, &t->bias, &t->residual, &t->gate, &t->c, &t->sums};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        free(all[i]->memory);
        free(all[i]->full);
    }
}

/* Fill C, its gaps and its guards with the guard's bits; or C with what is to be added to it. */
static void trial_clear(trial *t)
{
    const cpu_gemm *g = &t->gemm;
    for (size_t i = 0; i < t->c.count; i++)
        memcpy((unsigned char *)t->c.data + i * t->c.bytes, &guard_bits, t->c.bytes);
    if (!t->in_place) return;
    for (size_t row = 0; row < g->batch[0] * g->batch[1] * g->m; row++)
        for (size_t j = 0; j < g->n; j++) put(g->out, g->c, row * g->c_row + j, (double)((row * 7 + j * 3) % 11) - 5.0);
}

static double activate(double x, cpu_activation act)
{
    switch (act) {
    case CPU_ACT_RELU: return x > 0 ? x : 0;
    case CPU_ACT_SILU: return x / (1 + exp(-x));
    case CPU_ACT_SIGMOID: return 1 / (1 + exp(-x));
    case CPU_ACT_TANH: return tanh(x);
    case CPU_ACT_NONE: break;
    }
    return x;
}

static double element(const held *h, const cpu_operand *x, size_t b0, size_t b1, size_t i, size_t j)
{
    const float *first = h->full + b0 * x->batch[0] + b1 * x->batch[1];
    return (double)(x->transposed ? first[j * x->row + i] : first[i * x->row + j]);
}

/* The largest error of rounding a number to a type, as a part of it. */
static double unit_of(m3_dtype type)
{
    return type == M3_BF16 ? 0x1p-8 : type == M3_F16 ? 0x1p-11 : 0;
}

static void check_element(const trial *t, size_t b0, size_t b1, size_t i, size_t j, const char *says)
{
    const cpu_gemm *g = &t->gemm;
    double sum = 0, size = 0;
    for (size_t k = 0; k < g->k; k++) {
        double term = element(&t->a, &g->a, b0, b1, i, k) * element(&t->b, &g->b, b0, b1, k, j);
        sum += term;
        size += fabs(term);
    }
    double extra[2] = {0, 0};
    size_t row = (b0 * g->batch[1] + b1) * g->m + i;
    if (g->bias.data != NULL) extra[0] = element(&t->bias, &g->bias, b0, b1, 0, j);
    if (t->in_place)
        extra[1] = (double)((row * 7 + j * 3) % 11) - 5.0;
    else if (g->residual.data != NULL)
        extra[1] = element(&t->residual, &g->residual, b0, b1, i, j);
    double want = activate(sum + extra[0] + extra[1], g->act);
    if (g->gate.data != NULL && !(element(&t->gate, &g->gate, b0, b1, i, j) > 0)) want = 0;
    double got = at(g->out, g->c, b0 * g->c_batch[0] + b1 * g->c_batch[1] + i * g->c_row + j);
    /* Rounding of k + 3 sums in any order; activations steepen it by 1.1 at most and are within 3 units themselves. */
    double bound = 0x1p-23 * ((double)(g->k + 4) * (size + fabs(extra[0]) + fabs(extra[1])) + 2 * fabs(want));
    bound += unit_of(g->out) * (fabs(want) + bound) + (g->out == M3_F16 ? 0x1p-25 : 0);
    if (!(fabs(got - want) <= bound))
        fail_msg(
            "%s: %s batch %zu,%zu m %zu n %zu k %zu transposed %d,%d act %d: C[%zu,%zu,%zu,%zu] is %.9g, wanted %.9g",
            says, m3_dtype_name(g->in), g->batch[0], g->batch[1], g->m, g->n, g->k, g->a.transposed, g->b.transposed,
            (int)g->act, b0, b1, i, j, got, want);
}

/* Sums of an operand, over blocks and slices. */
static void check_sums(const trial *t, size_t b0, size_t b1, const char *says)
{
    const cpu_gemm *g = &t->gemm;
    const size_t columns = g->sums_of_a ? g->m : g->n;
    for (size_t j = 0; j < columns && g->m > 0 && g->n > 0; j++) {
        double sum = 0, size = 0;
        for (size_t k = 0; k < g->k; k++) {
            double x = g->sums_of_a ? element(&t->a, &g->a, b0, b1, j, k) : element(&t->b, &g->b, b0, b1, k, j);
            sum += x;
            size += fabs(x);
        }
        double got = (double)g->sums[(b0 * g->batch[1] + b1) * columns + j];
        if (!(fabs(got - sum) <= 0x1p-23 * (double)g->k * size))
            fail_msg("%s: %s m %zu n %zu k %zu: sum %zu of %s is %.9g, wanted %.9g", says, m3_dtype_name(g->in), g->m,
                     g->n, g->k, j, g->sums_of_a ? "A" : "B", got, sum);
    }
}

/* Values, and the guards: before and after C and between its rows. */
static void trial_check(const trial *t, const char *says)
{
    const cpu_gemm *g = &t->gemm;
    const size_t rows = g->batch[0] * g->batch[1] * g->m;
    for (size_t i = 0; i < t->c.count; i++) {
        size_t in = i - GUARD; /* wraps below the guard, and is beyond all rows then */
        bool inside = g->n > 0 && i >= GUARD && in / g->c_row < rows && in % g->c_row < g->n;
        if (!inside && memcmp((const unsigned char *)t->c.data + i * t->c.bytes, &guard_bits, t->c.bytes) != 0)
            fail_msg("%s: m %zu n %zu: a guard at %zu", says, g->m, g->n, i);
    }
    for (size_t b0 = 0; b0 < g->batch[0]; b0++)
        for (size_t b1 = 0; b1 < g->batch[1]; b1++)
            for (size_t i = 0; i < g->m; i++)
                for (size_t j = 0; j < g->n; j++) check_element(t, b0, b1, i, j, says);
    for (size_t i = 0; g->sums != NULL && i < g->batch[0] * g->batch[1]; i++)
        check_sums(t, i / g->batch[1], i % g->batch[1], says);
}

/* Scratch comes with a guard too, full of NaN, and at an odd place. */
static void trial_run(const cpu_machine *machine, trial *t, const cpu_pool *pool)
{
    const size_t bytes = cpu_gemm_scratch(machine, &t->gemm, pool != NULL ? pool->threads : 1);
    unsigned char *scratch = malloc(bytes + 16);
    assert_non_null(scratch);
    memset(scratch, 0xff, bytes + 16);
    trial_clear(t);
    cpu_gemm_run(machine, &t->gemm, pool, scratch + 4);
    for (size_t i = 0; i < 12; i++) assert_int_equal(scratch[4 + bytes + i], 0xff);
    free(scratch);
}

/* One thread against the plain product, then others against one thread, bit for bit. */
static void trial_whole(const layout *l)
{
    const machines all = machines_here();
    for (uint32_t m = 0; m < all.count; m++) {
        const char *name = cpu_isa_name(all.machine[m].isa);
        trial t = trial_make(l);
        trial_run(&all.machine[m], &t, NULL);
        if (COMPARED != 0) trial_check(&t, name);
        void *first = malloc(t.c.count * t.c.bytes);
        assert_non_null(first);
        memcpy(first, t.c.data, t.c.count * t.c.bytes);
        const size_t sums = t.sums.count * t.sums.bytes;
        void *first_sums = malloc(sums + 1);
        assert_non_null(first_sums);
        if (sums > 0) memcpy(first_sums, t.sums.data, sums);
        for (uint32_t threads = 2; threads <= MOST_THREADS; threads++) {
            cpu_pool pools[] = {{&threads, backwards_run, threads}, {&threads, crew_run, threads}};
            for (size_t p = 0; p < 2; p++) {
                trial_run(&all.machine[m], &t, &pools[p]);
                if (memcmp(first, t.c.data, t.c.count * t.c.bytes) != 0 ||
                    (sums > 0 && memcmp(first_sums, t.sums.data, sums) != 0))
                    fail_msg("%s, %s: %u threads give other bits than one", name, m3_dtype_name(l->in), threads);
            }
        }
        free(first);
        free(first_sums);
        trial_free(&t);
    }
}

/* bf16 in pairs, a gradient of a weight from it, and what is widened. */
static const struct types {
    m3_dtype in, out;
} types[] = {{M3_F32, M3_F32}, {M3_BF16, M3_BF16}, {M3_BF16, M3_F32}, {M3_F16, M3_F16}};
enum { TYPES = sizeof types / sizeof types[0] };

/* What follows the sum changes from shape to shape, so that all of it meets all edges. */
static layout small_layout(size_t m, size_t n, size_t k, uint32_t turn)
{
    layout l = {.batch = {1, 1}, .m = m, .n = n, .k = k, .pad = turn % 3};
    l.bias = turn % 2 == 1;
    l.residual = turn % 7 == 2;
    l.gate = turn % 5 == 3;
    l.in_place = turn % 7 == 4;
    l.act = (cpu_activation)(turn % 11 < 5 ? turn % 11 : 0);
    return l;
}

static void odd_shapes(void **state)
{
    static const size_t sizes[] = {0, 1, 2, 3, 5, 7, 17, 33, 64, 65, 130};
    enum { SIZES = sizeof sizes / sizeof sizes[0] };
    const uint32_t *transposes = *state;
    const machines all = machines_here();
    const uint32_t two = 2;
    const cpu_pool pool = {(void *)(uintptr_t)&two, backwards_run, 2};
    uint32_t turn = *transposes * 5;
    for (size_t i = 0; i < SIZES * SIZES * SIZES * 2; i += EACH, turn += EACH) { /* once in f32, once in 16 bits */
        layout l = small_layout(sizes[i % SIZES], sizes[i / SIZES % SIZES], sizes[i / SIZES / SIZES % SIZES], turn);
        const struct types *type = &types[i < SIZES * SIZES * SIZES ? 0 : 1 + turn % (TYPES - 1)];
        l.in = type->in;
        l.out = type->out;
        l.a_transposed = (*transposes & 1) != 0;
        l.b_transposed = (*transposes & 2) != 0;
        trial t = trial_make(&l);
        for (uint32_t m = 0; m < all.count; m++) {
            trial_run(&all.machine[m], &t, (turn + m) % 2 == 0 ? NULL : &pool);
            trial_check(&t, cpu_isa_name(all.machine[m].isa));
        }
        trial_free(&t);
    }
}

static const struct row {
    const char *name;
    layout layout;
} rows[] = {
    {"a long sum has several blocks", {.batch = {1, 1}, .m = 37, .n = 70, .k = 1500}},
    {"a weight gradient: both operands by columns",
     {.batch = {1, 1}, .m = 65, .n = 140, .k = 3001, .a_transposed = true}},
    {"a long sum is finished once",
     {.batch = {1, 1}, .m = 19, .n = 45, .k = 1300, .pad = 3, .bias = true, .gate = true, .act = CPU_ACT_SILU}},
    {"a long sum may be added to C itself",
     {.batch = {1, 1}, .m = 40, .n = 33, .k = 1111, .bias = true, .in_place = true, .act = CPU_ACT_RELU}},
    {"a long sum is added to in slices, in place",
     {.batch = {2, 1},
      .m = 33,
      .n = 47,
      .k = 5200,
      .a_transposed = true,
      .bias = true,
      .in_place = true,
      .gate = true}},
    {"a long sum of an even number of rows",
     {.batch = {1, 1}, .m = 70, .n = 33, .k = 3002, .a_transposed = true, .bias = true, .residual = true}},
    {"a long sum of rows", {.batch = {1, 1}, .m = 20, .n = 130, .k = 2600, .pad = 1, .b_transposed = true}},
    {"many columns pass the second cache in blocks",
     {.batch = {1, 1}, .m = 31, .n = 2500, .k = 800, .b_transposed = true, .bias = true}},
    {"many rows share B", {.batch = {1, 1}, .m = 1700, .n = 70, .k = 40, .b_transposed = true, .act = CPU_ACT_RELU}},
    {"rows a page apart are packed", {.batch = {1, 1}, .m = 45, .n = 80, .k = 1024}},
    {"rows a page apart are packed, a long sum", {.batch = {1, 1}, .m = 300, .n = 80, .k = 2048, .gate = true}},
    {"a column of A has groups of tiles", {.batch = {1, 1}, .m = 1100, .n = 40, .k = 260, .a_transposed = true}},
    {"a batch of its own operands", {.batch = {3, 4}, .m = 20, .n = 23, .k = 32, .pad = 1, .b_transposed = true}},
    {"a batch with bias of its own",
     {.batch = {2, 3}, .m = 21, .n = 40, .k = 9, .bias = true, .residual = true, .act = CPU_ACT_TANH}},
    {"A is the same along the first axis",
     {.batch = {3, 2}, .m = 18, .n = 35, .k = 12, .a_shared = {true, false}, .gate = true}},
    {"B is the same along the second axis",
     {.batch = {3, 5}, .m = 40, .n = 35, .k = 12, .b_shared = {false, true}, .bias = true}},
    {"B is the same for all", {.batch = {4, 5}, .m = 33, .n = 50, .k = 20, .b_shared = {true, true}, .bias = true}},
    {"many small products", {.batch = {50, 4}, .m = 5, .n = 6, .k = 7, .a_transposed = true, .act = CPU_ACT_SIGMOID}},
    {"scores of one row each", {.batch = {40, 1}, .m = 1, .n = 100, .k = 64, .b_transposed = true}},
    {"one column", {.batch = {1, 1}, .m = 300, .n = 1, .k = 128, .bias = true}},
    {"no sum: bias and residual remain",
     {.batch = {2, 1}, .m = 15, .n = 33, .k = 0, .bias = true, .residual = true, .act = CPU_ACT_RELU}},
    {"an empty batch is a legal product", {.batch = {0, 3}, .m = 5, .n = 5, .k = 5}},
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static void product_is_right(void **state)
{
    layout l = ((const struct row *)*state)->layout;
    for (size_t i = 0; i < TYPES; i++) {
        l.in = types[i].in;
        l.out = types[i].out;
        trial_whole(&l);
    }
}

static void merged_batch_gives_the_same_bits(void **state)
{
    (void)state;
    const machines all = machines_here();
    layout layouts[] = {
        {.batch = {4, 5}, .m = 7, .n = 50, .k = 20, .b_shared = {true, true}, .bias = true, .residual = true},
        {.batch = {4, 5}, .m = 1, .n = 50, .k = 20, .pad = 2, .b_shared = {true, true}, .gate = true},
        {.batch = {4, 5}, .m = 7, .n = 50, .k = 20, .b_shared = {false, true}},
        {.batch = {4, 5}, .m = 7, .n = 50, .k = 20, .b_shared = {true, false}},
        {.batch = {4, 5}, .m = 7, .n = 50, .k = 20, .a_shared = {true, true}, .b_shared = {true, true}},
        {.batch = {4, 5}, .m = 7, .n = 50, .k = 20, .a_transposed = true, .b_shared = {true, true}},
    };
    const size_t products[] = {1, 1, 4, 20, 20, 20};
    for (size_t i = 0; i < sizeof layouts / sizeof layouts[0]; i++) {
        trial t = trial_make(&layouts[i]);
        const cpu_machine *machine = &all.machine[all.count - 1];
        trial_run(machine, &t, NULL);
        void *first = malloc(t.c.count * t.c.bytes);
        assert_non_null(first);
        memcpy(first, t.c.data, t.c.count * t.c.bytes);
        const size_t sum = t.gemm.m * t.gemm.batch[0] * t.gemm.batch[1];
        cpu_gemm_merge_batch(&t.gemm);
        assert_int_equal(t.gemm.batch[0] * t.gemm.batch[1], products[i]);
        assert_int_equal(t.gemm.m * t.gemm.batch[0] * t.gemm.batch[1], sum);
        trial_run(machine, &t, NULL);
        assert_memory_equal(first, t.c.data, t.c.count * t.c.bytes);
        free(first);
        trial_free(&t);
    }
}

/* Partial sums of so many products would take too much memory, so that one thread adds slice after slice. */
static void slices_in_turn_give_the_same_bits(void **state)
{
    (void)state;
    const machines all = machines_here();
    layout one = {.batch = {1, 1}, .m = 20, .n = 37, .k = 2600, .a_transposed = true, .bias = true};
    layout many = one;
    one.act = many.act = CPU_ACT_SIGMOID;
    many.batch[0] = 3000;
    for (int axis = 0; axis < 2; axis++) many.a_shared[axis] = many.b_shared[axis] = true;
    for (uint32_t m = 0; m < all.count; m++) {
        trial first = trial_make(&one), t = trial_make(&many);
        trial_run(&all.machine[m], &first, NULL);
        trial_check(&first, cpu_isa_name(all.machine[m].isa));
        trial_run(&all.machine[m], &t, NULL);
        assert_true(cpu_gemm_scratch(&all.machine[m], &t.gemm, 1) < many.batch[0] * one.m * one.n * sizeof(float));
        const cpu_gemm *apart = &first.gemm, *in_turn = &t.gemm;
        const float *sums = apart->c, *many_sums = in_turn->c;
        for (size_t i = 0; i < many.batch[0]; i++)
            assert_memory_equal(many_sums + i * one.m * one.n, sums, one.m * one.n * sizeof(float));
        trial_free(&first);
        trial_free(&t);
    }
}

static void relu_and_gate_treat_nan(void **state)
{
    (void)state;
    const machines all = machines_here();
    for (uint32_t m = 0; m < all.count; m++) {
        float a[3] = {NAN, 1.0f, NAN}, b[2] = {1.0f, -1.0f}, gate[6] = {1, 1, NAN, 1, 0, -1}, c[6];
        cpu_gemm g = {.batch = {1, 1}, .m = 3, .n = 2, .k = 1, .a = {.data = a, .row = 1}, .b = {.data = b, .row = 2}};
        g.c = c;
        g.c_row = 2;
        g.gate = (cpu_operand){.data = gate, .row = 2};
        g.act = CPU_ACT_RELU;
        unsigned char *scratch = malloc(cpu_gemm_scratch(&all.machine[m], &g, 1));
        assert_non_null(scratch);
        cpu_gemm_run(&all.machine[m], &g, NULL, scratch);
        free(scratch);
        assert_true(isnan(c[0]) && isnan(c[1])); /* a NaN passes relu */
        const float want[4] = {0, 0, 0, 0};      /* a NaN does not open the gate, nor pass a closed one */
        assert_memory_equal(&c[2], want, sizeof want);
    }
}

static void machine_by_name(void **state)
{
    (void)state;
    cpu_machine machine;
    m3_error err = {0};
    assert_int_equal(cpu_machine_init(&machine, "portable", &err), M3_OK);
    assert_int_equal(machine.isa, CPU_PORTABLE);
    assert_int_equal(cpu_machine_init(&machine, NULL, &err), M3_OK);
    assert_true(machine.gemm.mr > 0 && machine.depth > 0);
    assert_int_equal(cpu_machine_init(&machine, "sse9", &err), M3_ERR_INVALID);
    assert_non_null(strstr(err.message, "there is no 'sse9'"));
}

static void peak_is_measured(void **state)
{
    (void)state;
    const machines all = machines_here();
    uint32_t two = 2;
    const cpu_pool pool = {&two, crew_run, 2};
    for (uint32_t m = 0; m < all.count; m++) {
        assert_true(cpu_measure_peak(&all.machine[m], NULL) > 0.1);
        assert_true(cpu_measure_peak(&all.machine[m], &pool) > 0.1);
    }
}

int main(void)
{
    static uint32_t transposes[4] = {0, 1, 2, 3};
    static const char *const names[4] = {"odd shapes, A B", "odd shapes, A' B", "odd shapes, A B'",
                                         "odd shapes, A' B'"};
    struct CMUnitTest tests[4 + ROWS + 5] = {[4 + ROWS] = cmocka_unit_test(merged_batch_gives_the_same_bits),
                                             cmocka_unit_test(slices_in_turn_give_the_same_bits),
                                             cmocka_unit_test(relu_and_gate_treat_nan),
                                             cmocka_unit_test(machine_by_name),
                                             cmocka_unit_test(peak_is_measured)};
    for (size_t i = 0; i < 4; i++) tests[i] = (struct CMUnitTest){names[i], odd_shapes, NULL, NULL, &transposes[i]};
    for (size_t i = 0; i < ROWS; i++)
        tests[4 + i] = (struct CMUnitTest){rows[i].name, product_is_right, NULL, NULL, (void *)(uintptr_t)&rows[i]};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
