/* rates: each trial is a graph of one node whose operands and result are states, so nothing crosses to the host, and
 * whose time is the device's own. The best run counts, since whatever disturbs one makes it longer. */
#include "core/bench/rates.h"

#include <string.h>

#include "core/base/alloc.h"

enum { WARM_UPS = 2, MIN_RUNS = 5, MAX_RUNS = 200, MIN_SIDE = 512, MAX_SIDE = 4096 };
static const double enough_s = 0.1;           /* of a trial, after warming up */
static const double long_enough_s = 0.02;     /* of a product: what surrounds it no longer counts */
static const uint64_t most_bytes = 256 << 20; /* of a tensor: several times the largest caches */
static const uint64_t least_bytes = 1 << 20;

typedef struct trial {
    m3_device *device;
    m3_store *store;
    m3_graph *graph;
    m3_executable *executable;
} trial;

static m3_status begin(trial *t, m3_device *device, m3_error *err)
{
    *t = (trial){.device = device};
    m3_status st = m3_store_create(device, 1, &t->store, err);
    return st == M3_OK ? m3_graph_create(NULL, &t->graph, err) : st;
}

static void end(trial *t)
{
    m3_executable_free(t->executable);
    m3_graph_free(t->graph);
    m3_store_free(t->store);
}

/* Seconds of the best run, in nodes. */
static m3_status time_best(trial *t, double *seconds, m3_error *err)
{
    const m3_compile_options options = {
        .size = M3_STRUCT_SIZE(m3_compile_options, fallbacks), .name = "rates", .strict = true};
    double total = 0;
    m3_status st = m3_builder_status(m3_graph_builder(t->graph), err);
    *seconds = 0;
    if (st == M3_OK) st = m3_executable_create(t->device, t->store, t->graph, &options, &t->executable, err);
    if (st == M3_OK) st = m3_executable_profile(t->executable, true, err);
    for (int run = 0; st == M3_OK && run < WARM_UPS + MAX_RUNS; run++) {
        double now = 0;
        if (run >= WARM_UPS + MIN_RUNS && total >= enough_s) break;
        st = m3_executable_run(t->executable, err);
        for (uint32_t i = 0; i < m3_executable_node_count(t->executable); i++) {
            m3_executable_node at = {.size = M3_STRUCT_SIZE(m3_executable_node, time_ns)};
            m3_executable_node_at(t->executable, i, &at);
            now += 1e-9 * (double)at.time_ns;
        }
        if (run < WARM_UPS) continue;
        total += now;
        if (now > 0 && (*seconds == 0 || now < *seconds)) *seconds = now;
    }
    if (st == M3_OK && *seconds == 0)
        st = M3_FAIL(err, M3_ERR_UNSUPPORTED, m3_device_name(t->device),
                     "its clock shows no time for a run, so its rates cannot be measured");
    return st;
}

/* What the nodes of a trial did in a second. */
static double rate(const trial *t, double seconds, bool flops)
{
    m3_executable_stats stats = {.size = M3_STRUCT_SIZE(m3_executable_stats, written_bytes)};
    m3_executable_get_stats(t->executable, &stats);
    const uint64_t done = flops ? stats.flops : stats.read_bytes + stats.written_bytes;
    return seconds > 0 ? (double)done / seconds : 0.0;
}

/* Bandwidth. */

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static m3_status copy_once(m3_device *device, uint64_t bytes, double *per_s, m3_error *err)
{
    trial t;
    double seconds = 0;
    const m3_shape shape = m3_shape_of(1, (const uint64_t[]){bytes / sizeof(float)});
    m3_init ones = {.kind = M3_INIT_CONSTANT, .value = 1.0f}; /* not 0: pages that were never written may be one page */
    m3_status st = begin(&t, device, err);
    if (st == M3_OK) {
        m3_builder *b = m3_graph_builder(t.graph);
        m3_tensor *from = m3_graph_state(b, "from", M3_F32, shape, ones);
        m3_tensor *to = m3_graph_state(b, "to", M3_F32, shape, ones);
        m3_graph_update(b, to, m3_neg(b, from));
        st = time_best(&t, &seconds, err);
    }
    if (st == M3_OK) *per_s = rate(&t, seconds, false);
    end(&t);
    return st;
}

static m3_status measure_copy(m3_device *device, double *per_s, m3_error *err)
{
    m3_device_limits limits = {.size = M3_STRUCT_SIZE(m3_device_limits, coherent)};
    m3_status st = m3_device_get_limits(device, &limits, err);
    if (st != M3_OK) return st;
    uint64_t bytes = smaller(most_bytes, limits.largest_buffer);
    if (limits.largest_binding != 0) bytes = smaller(bytes, limits.largest_binding);
    if (limits.memory_free != 0) bytes = smaller(bytes, limits.memory_free / 4);
    for (bytes &= ~(uint64_t)(least_bytes - 1);; bytes /= 2) {
        m3_error why = {0};
        st = copy_once(device, bytes < least_bytes ? least_bytes : bytes, per_s, &why);
        if (st == M3_ERR_MEMORY && bytes > least_bytes) continue;
        if (st != M3_OK && err != NULL) *err = why;
        return st;
    }
}

/* Arithmetic. */

/* A number of either sign from 1 up to 2, as the type has it, from 32 random bits. Zeros take less power, and a device
 * would be faster than it is. */
static void put(void *data, m3_dtype dtype, uint64_t at, uint32_t bits)
{
    if (dtype == M3_F32)
        ((uint32_t *)data)[at] = (bits & 0x807fffffu) | 0x3f800000u;
    else if (dtype == M3_F16)
        ((uint16_t *)data)[at] = (uint16_t)((bits >> 16 & 0x83ffu) | 0x3c00u);
    else
        ((uint16_t *)data)[at] = (uint16_t)((bits >> 16 & 0x807fu) | 0x3f80u);
}

static m3_status write_operands(const trial *t, m3_dtype dtype, const m3_shape *shape, m3_error *err)
{
    const uint64_t count = m3_shape_count(shape);
    uint64_t random = 1;
    void *data = m3_calloc(count, m3_dtype_bytes(dtype));
    if (data == NULL) return M3_FAIL_MEMORY(err, "rates", count * m3_dtype_bytes(dtype));
    for (uint64_t i = 0; i < count; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u; /* Knuth, TAOCP 2, 3.3.4 */
        put(data, dtype, i, (uint32_t)(random >> 32));
    }
    m3_status st = m3_store_write(t->store, "x", dtype, shape, data, err);
    if (st == M3_OK) st = m3_store_write(t->store, "w", dtype, shape, data, err);
    m3_free(data);
    return st;
}

static m3_status multiply_once(m3_device *device, m3_dtype dtype, uint64_t side, double *per_s, double *seconds,
                               m3_error *err)
{
    trial t;
    const m3_shape shape = m3_shape_of(2, (const uint64_t[]){side, side});
    const m3_init zero = {.kind = M3_INIT_CONSTANT};
    m3_status st = begin(&t, device, err);
    if (st == M3_OK) st = write_operands(&t, dtype, &shape, err);
    if (st == M3_OK) {
        m3_builder *b = m3_graph_builder(t.graph);
        m3_tensor *x = m3_graph_state(b, "x", dtype, shape, zero), *w = m3_graph_state(b, "w", dtype, shape, zero);
        m3_graph_update(b, m3_graph_state(b, "y", dtype, shape, zero), m3_linear(b, x, w, NULL));
        st = time_best(&t, seconds, err);
    }
    if (st == M3_OK) *per_s = rate(&t, *seconds, true);
    end(&t);
    return st;
}

/* Larger and larger, until a product takes long enough; the best rate of them. */
static m3_status measure_product(m3_device *device, m3_dtype dtype, double *per_s, m3_error *err)
{
    double seconds = 0;
    m3_status st = M3_OK;
    *per_s = 0;
    for (uint64_t side = MIN_SIDE; st == M3_OK && side <= MAX_SIDE && seconds < long_enough_s; side *= 2) {
        double now = 0;
        m3_error why = {0};
        st = multiply_once(device, dtype, side, &now, &seconds, &why);
        if (st == M3_ERR_MEMORY && side > MIN_SIDE) return M3_OK; /* the smaller ones have to do */
        if (st != M3_OK && err != NULL) *err = why;
        if (st == M3_OK && now > *per_s) *per_s = now;
    }
    return st;
}

m3_status m3_rates_measure(m3_device *device, m3_dtype half, m3_rates *rates, m3_error *err)
{
    *rates = (m3_rates){0};
    m3_status st = measure_copy(device, &rates->copy, err);
    if (st == M3_OK) st = measure_product(device, M3_F32, &rates->product, err);
    if (st == M3_OK && half != M3_F32) st = measure_product(device, half, &rates->half, err);
    return st;
}
