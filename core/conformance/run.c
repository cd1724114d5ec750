/* run: run a case on a device and compare it with the double-precision reference. */
#include "core/conformance/run.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/conformance/hostile.h"
#include "core/conformance/rules.h"
#include "core/conformance/values.h"
#include "core/runtime/executable.h"

m3_status m3_case_exec_init(m3_case_exec *exec, m3_device *device, const m3_graph *graph, m3_error *err)
{
    static const char *const no_pass[] = {"chain", "fold", NULL}; /* a case's op stays what it is */
    const m3_compile_options options = {
        .size = M3_STRUCT_SIZE(m3_compile_options, fallbacks), .name = "case", .no_pass = no_pass, .strict = true};
    m3_status st = m3_store_create(device, 0, &exec->store, err);
    if (st == M3_OK) st = m3_executable_create(device, exec->store, graph, &options, &exec->executable, err);
    /* What lies between the inputs is uploaded with them. */
    if (st == M3_OK) m3_hostile_fill(exec->executable->input, exec->executable->targets[0].plan.input_bytes);
    return st;
}

void m3_case_exec_fini(m3_case_exec *exec)
{
    m3_executable_free(exec->executable);
    m3_store_free(exec->store);
    *exec = (m3_case_exec){0};
}

void m3_case_exec_write(m3_case_exec *exec, const char *name, const m3_tensor *x, const double *value)
{
    uint64_t bytes = 0;
    void *to = m3_executable_input(exec->executable, name, &bytes);
    if (to != NULL && bytes == m3_tensor_bytes(x)) m3_values_encode(x->dtype, value, m3_tensor_count(x), to);
}

m3_status m3_case_exec_read(m3_case_exec *exec, const char *name, const m3_tensor *x, double *value, m3_error *err)
{
    uint64_t bytes = 0;
    const void *from = m3_executable_output(exec->executable, name, &bytes);
    if (from == NULL || bytes != m3_tensor_bytes(x))
        return M3_FAIL(err, M3_ERR_INTERNAL, name, "the executable gives %llu bytes of this output, not %llu",
                       (unsigned long long)bytes, (unsigned long long)m3_tensor_bytes(x));
    m3_values_decode(x->dtype, from, m3_tensor_count(x), value);
    return M3_OK;
}

void m3_case_result_error(m3_case_result *result, const char *where, const m3_error *err)
{
    result->verdict = err->code == M3_ERR_UNSUPPORTED ? M3_VERDICT_LACKS : M3_VERDICT_FAIL;
    (void)snprintf(result->text, sizeof result->text, "%s: %.500s [%.150s]", where, err->message, err->subject);
}

uint64_t m3_case_seed(const m3_case *c, uint64_t seed)
{
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */
    for (const char *at = c->name; *at != 0; at++) hash = (hash ^ (unsigned char)*at) * 0x100000001b3u;
    return hash ^ seed;
}

m3_status m3_case_values(const m3_case *c, const m3_case_graph *built, uint64_t seed, double *value[M3_NOTATION_ARRAYS],
                         m3_error *err)
{
    uint64_t total = 1, at = 0;
    m3_status st = M3_OK;
    for (uint32_t i = 0; i < built->in_count; i++) total += m3_shape_count(&built->in[i].shape);
    double *all = value[0] = m3_calloc(total, sizeof *all);
    if (all == NULL) return M3_FAIL_MEMORY(err, c->op, total * sizeof *all);
    for (uint32_t i = 0; i < built->in_count && st == M3_OK; i++) {
        value[i] = all + at;
        if (built->in[i].absent) continue;
        st = m3_values_fill(&built->in[i], m3_case_seed(c, seed), i, value[i], err);
        at += m3_shape_count(&built->in[i].shape);
    }
    return st;
}

static const double MOST_ROOM = 0.125;                  /* of the largest element of a row */
static const uint64_t OTHER_DATA = 0x9e3779b97f4a7c15u; /* a seed away */
void m3_case_change_values(const m3_case_graph *built, m3_case_form form, uint32_t shake, double *const *value)
{
    for (uint32_t i = 0; i < built->in_count; i++) {
        const m3_notation *array = &built->in[i];
        const bool half = m3_dtype_is_half(array->dtype) && M3_OP_MEMBER(built->node->op, halves) != 0;
        if (array->absent || (array->dtype != M3_F32 && !half)) continue;
        uint32_t word = 0x9e3779b9u + i + shake * 0x85ebca6bu;
        for (uint64_t e = 0; e < m3_shape_count(&array->shape); e++) {
            double *x = &value[i][e];
            if (form == M3_CASE_FLUSHED && fabs(*x) < (double)FLT_MIN) *x = copysign(0.0, *x);
            if (form == M3_CASE_ABSOLUTE) *x = fabs(*x);
            if (form != M3_CASE_SHAKEN) continue;
            word = word * 1664525u + 1013904223u;
            *x += (word >> 31 != 0 ? M3_CASE_UNIT : -M3_CASE_UNIT) * *x;
        }
    }
}

/* What the outputs of one form on one device are. */
typedef struct outcome {
    uint32_t count;
    m3_dtype dtype[M3_CASE_OUTPUTS];
    uint64_t elements[M3_CASE_OUTPUTS], row[M3_CASE_OUTPUTS]; /* row: of the last axis */
    double *value[M3_CASE_OUTPUTS];                           /* value[0] owns all, the two below too */
    double *before, *behind; /* all outputs, over other data before and behind the run that counts, or shaken anew */
    uint64_t total, terms;   /* terms: that are summed for an element, as the op's rules say */
    bool native;
    bool whole; /* all floats among the inputs are whole numbers */
} outcome;

static m3_status outcome_init(outcome *o, const m3_case_graph *built, m3_error *err)
{
    if (built->out_count > M3_CASE_OUTPUTS)
        return M3_FAIL(err, M3_ERR_INVALID, built->node->op->name, "a case may have %d outputs", M3_CASE_OUTPUTS);
    o->count = built->out_count;
    for (uint32_t k = 0; k < o->count; k++) {
        o->dtype[k] = built->node->out[k]->dtype;
        const m3_shape *shape = &built->node->out[k]->shape;
        o->elements[k] = m3_shape_count(shape);
        o->row[k] = shape->rank > 0 ? shape->dim[shape->rank - 1] : 1;
        o->total += o->elements[k];
    }
    double *all = m3_calloc(3 * o->total + 1, sizeof *all);
    if (all == NULL) return M3_FAIL_MEMORY(err, built->node->op->name, 3 * o->total * sizeof *all);
    o->before = all + o->total;
    o->behind = o->before + o->total;
    for (uint32_t k = 0; k < o->count; all += o->elements[k++]) o->value[k] = all;
    return M3_OK;
}

static void outcome_fini(outcome *o)
{
    m3_free(o->value[0]);
    *o = (outcome){0};
}

static m3_status read_outputs(m3_case_exec *exec, const m3_case_graph *built, double *to, m3_error *err)
{
    char name[32];
    m3_status st = M3_OK;
    for (uint32_t k = 0; k < built->out_count && st == M3_OK; k++) {
        (void)snprintf(name, sizeof name, "out%u", k);
        st = m3_case_exec_read(exec, name, built->node->out[k], to, err);
        to += m3_tensor_count(built->node->out[k]);
    }
    return st;
}

/* The tensors that only keep a program busy (M3_CASE_INPLACE): other * 1 * 1. */

static double other_value(uint64_t index)
{
    return (double)(index % 17) - 8.0;
}

static void write_other(m3_case_exec *exec, const m3_case_graph *built)
{
    double value[M3_CASE_OTHER];
    const double one = 1.0;
    const m3_tensor *other = m3_graph_find(built->graph, "in_other"),
                    *neutral = m3_graph_find(built->graph, "in_one_f32");
    for (uint64_t i = 0; i < M3_CASE_OTHER; i++) value[i] = other_value(i);
    if (other != NULL) m3_case_exec_write(exec, "in_other", other, value);
    if (neutral != NULL) m3_case_exec_write(exec, "in_one_f32", neutral, &one);
}

static m3_status check_other(m3_case_exec *exec, const m3_case_graph *built, m3_error *err)
{
    double value[M3_CASE_OTHER];
    const m3_tensor *other = m3_graph_find(built->graph, "in_other");
    m3_status st = other != NULL ? m3_case_exec_read(exec, "out_other", other, value, err) : M3_OK;
    for (uint64_t i = 0; i < M3_CASE_OTHER && other != NULL && st == M3_OK; i++)
        if (value[i] != other_value(i))
            st = M3_FAIL(
                err, M3_ERR_INTERNAL, "out_other",
                "a value that lives through the case's op is wrong: out_other[%llu] is %.9g, wanted %.9g (two products "
                "with 1)",
                (unsigned long long)i, value[i], other_value(i));
    return st;
}

static void write_inputs(m3_case_exec *exec, const m3_case_graph *built, double *const *value)
{
    char name[32];
    const double one = 1.0;
    for (uint32_t i = 0; i < built->in_count; i++) {
        if (built->in[i].absent) continue;
        (void)snprintf(name, sizeof name, "in%u", i);
        m3_case_exec_write(exec, name, built->x[i], value[i]);
        (void)snprintf(name, sizeof name, "in_one_%s", m3_dtype_name(built->x[i]->dtype));
        const m3_tensor *neutral = m3_graph_find(built->graph, name);
        if (neutral != NULL) m3_case_exec_write(exec, name, neutral, &one);
    }
    write_other(exec, built);
}

/* The names of the ops that a compiled case runs, each once, as far as there is room. */
static void list_ops(const m3_executable *executable, char *text, size_t bytes)
{
    for (uint32_t i = 0; i < m3_executable_node_count(executable); i++) {
        m3_executable_node node = {.size = M3_STRUCT_SIZE(m3_executable_node, time_ns)};
        m3_executable_node_at(executable, i, &node);
        const char *name = node.node->op->name, *at = text;
        const size_t length = strlen(name), used = strlen(text);
        while (at != NULL && (strncmp(at, name, length) != 0 || (at[length] != ' ' && at[length] != 0)))
            at = (at = strchr(at, ' ')) != NULL ? at + 1 : NULL;
        if (at == NULL && used + length + 2 < bytes)
            (void)snprintf(text + used, bytes - used, "%s%s", used > 0 ? " " : "", name);
    }
}

static m3_status run_once(m3_case_exec *exec, const m3_case_graph *built, double *const *value, double *to,
                          m3_error *err)
{
    write_inputs(exec, built, value);
    m3_status st = m3_executable_run(exec->executable, err);
    if (st == M3_OK) st = read_outputs(exec, built, to, err);
    return st == M3_OK ? check_other(exec, built, err) : st;
}

static bool are_whole(const m3_case_graph *built, double *const *value)
{
    for (uint32_t i = 0; i < built->in_count; i++) {
        const m3_tensor *x = built->x[i]; /* NULL: absent */
        if (x == NULL || !m3_dtype_is_float(x->dtype)) continue;
        const uint64_t count = value[i] != NULL ? m3_tensor_count(x) : 0;
        for (uint64_t k = 0; k < count; k++)
            if (value[i][k] != trunc(value[i][k])) return false; /* NaN differs, too */
    }
    return true;
}

/* One shake may leave alone, by chance, what the next one moves. */
static m3_status shake_again(outcome *o, m3_case_exec *exec, const m3_case *c, const m3_case_graph *built,
                             uint64_t seed, double **value, m3_error *err)
{
    double *const to[] = {o->before, o->behind};
    m3_status st = M3_OK;
    for (uint32_t i = 0; st == M3_OK && i < sizeof to / sizeof to[0]; i++) {
        m3_free(value[0]);
        value[0] = NULL;
        if ((st = m3_case_values(c, built, seed, value, err)) != M3_OK) return st;
        m3_case_change_values(built, M3_CASE_SHAKEN, i + 1, value);
        st = run_once(exec, built, value, to[i], err);
    }
    return st;
}

/* Build, compile and run: over other data, over the case's, over the other data again, which must give the same bits;
 * so neither the first run's results nor the last one's can pass for this one's. Once is enough for the reference.
 * ran: gets the names of the ops; NULL for the reference. */
static m3_status outcome_run(outcome *o, m3_device *device, const m3_op_lookup *lookup, const m3_case *c,
                             m3_case_form form, uint64_t seed, char ran[256], m3_error *err)
{
    m3_case_graph built = {0};
    m3_case_exec exec = {0};
    m3_error why = {0};
    double *value[M3_NOTATION_ARRAYS] = {NULL}, *other[M3_NOTATION_ARRAYS] = {NULL};
    m3_status st;
    if ((st = m3_case_build(c, lookup, form, &built, err)) != M3_OK) goto done;
    if ((st = outcome_init(o, &built, err)) != M3_OK) goto done;
    if ((st = m3_case_values(c, &built, seed, value, err)) != M3_OK) goto done;
    if (ran != NULL && (st = m3_case_values(c, &built, seed ^ OTHER_DATA, other, err)) != M3_OK) goto done;
    o->whole = are_whole(&built, value);
    m3_case_change_values(&built, form, 0, value);
    const m3_op_rules *rules = m3_op_rules_find(c->op);
    o->terms = rules != NULL && rules->terms != NULL ? rules->terms(built.node) : 1;
    o->native = m3_device_supports(device, built.node, &why) == M3_OK;
    if ((st = m3_case_exec_init(&exec, device, built.graph, err)) != M3_OK) goto done;
    if (ran != NULL) list_ops(exec.executable, ran, 256);
    if (ran != NULL && (st = run_once(&exec, &built, other, o->before, err)) != M3_OK) goto done;
    if ((st = run_once(&exec, &built, value, o->value[0], err)) != M3_OK) goto done;
    if (ran != NULL) st = run_once(&exec, &built, other, o->behind, err);
    if (form == M3_CASE_SHAKEN) st = shake_again(o, &exec, c, &built, seed, value, err);
done:
    m3_case_exec_fini(&exec);
    m3_free(value[0]);
    m3_free(other[0]);
    m3_case_graph_free(&built);
    return st;
}

/* The wanted value as the output's type holds it: what the type cannot hold is infinite there too. What it rounds in 16
 * bits is left as it is: a result is compared with the value itself, from which it may lie one rounding away. */
static double as_stored(double want, m3_dtype dtype)
{
    if (!m3_dtype_is_half(dtype)) return dtype == M3_F32 ? (double)(float)want : want;
    double bits, stored; /* aligned for every type */
    m3_values_encode(dtype, &want, 1, &bits);
    m3_values_decode(dtype, &bits, 1, &stored);
    return isinf(stored) ? stored : want;
}

/* How far a result within `limit` of a value may lie from it when it is rounded to 16 bits: half a unit in its last
 * place, or half of the least number that is not 0. */
static double rounded(double limit, double want, m3_dtype dtype)
{
    const bool bf16 = dtype == M3_BF16;
    return limit + (bf16 ? 0x1p-8 : 0x1p-11) * (fabs(want) + limit) + (bf16 ? 0x1p-134 : 0x1p-25);
}

/* What is wanted, and how far from it a result may lie. */
typedef struct answer {
    outcome want, flushed, room; /* flushed, room: only where asked for; room becomes what an element may be off by */
    const m3_op_rules *rules;    /* NULL: a custom op */
    double factor;               /* of room's values */
    double largest[M3_CASE_OUTPUTS];
} answer;

static void answer_fini(answer *a)
{
    outcome_fini(&a->want);
    outcome_fini(&a->flushed);
    outcome_fini(&a->room);
}

double m3_case_growth(uint64_t n)
{
    return fmin((double)n, 8.0 + 3.0 * sqrt((double)n));
}

static bool has_denormals(const m3_case *c)
{
    return strstr(c->inputs, "special") != NULL || strstr(c->inputs, "1e-40") != NULL;
}

/* Room of a result: what it changes by when its inputs do. An element that is computed alone has its own; elements that
 * are computed together, the row's largest, but never so much that a wrong row would pass: where the smallest change of
 * the inputs turns the result around, a device that computes with the inputs as they are is right all the same. */
static void make_shaken_room(answer *a, uint32_t k)
{
    const bool alone = a->rules->terms == NULL;
    const uint64_t row = alone || a->want.row[k] == 0 ? 1 : a->want.row[k];
    for (uint64_t first = 0; first < a->want.elements[k]; first += row) {
        double change = 0.0, largest = 0.0;
        for (uint64_t i = first; i < first + row; i++) {
            const double size = fabs(a->want.value[k][i]);
            const uint64_t at = (uint64_t)(a->room.value[k] - a->room.value[0]) + i;
            const double shaken[] = {a->room.value[k][i], a->room.before[at], a->room.behind[at]};
            for (size_t s = 0; s < sizeof shaken / sizeof shaken[0]; s++) {
                const double moved = fabs(shaken[s] - a->want.value[k][i]);
                if (isfinite(moved)) change = fmax(change, moved);
            }
            if (isfinite(size)) largest = fmax(largest, size);
        }
        const double room = a->factor * change, most = MOST_ROOM * largest;
        for (uint64_t i = first; i < first + row; i++) a->room.value[k][i] = alone || room < most ? room : most;
    }
}

/* Room of a sum. Whole numbers whose sizes add up to less than 2^24 are added without rounding in whatever order, so
 * that a single one that was lost, or added twice, shows in the longest sum. */
static void make_sum_room(answer *a, uint32_t k)
{
    for (uint64_t i = 0; i < a->want.elements[k]; i++) {
        double *room = &a->room.value[k][i];
        *room = a->want.whole && *room < 0x1p24 ? 0.0 : *room * a->factor;
    }
}

static m3_status answer_init(answer *a, m3_device *reference, const m3_op_lookup *lookup, const m3_case *c,
                             uint64_t seed, m3_error *err)
{
    a->rules = m3_op_rules_find(c->op);
    m3_status st = outcome_run(&a->want, reference, lookup, c, M3_CASE_DOUBLE, seed, NULL, err);
    if (st == M3_OK && has_denormals(c))
        st = outcome_run(&a->flushed, reference, lookup, c, M3_CASE_FLUSHED, seed, NULL, err);
    const m3_room room = a->rules != NULL ? a->rules->room : M3_ROOM_NONE;
    if (st == M3_OK && room != M3_ROOM_NONE)
        st = outcome_run(&a->room, reference, lookup, c, room == M3_ROOM_SUM ? M3_CASE_ABSOLUTE : M3_CASE_SHAKEN, seed,
                         NULL, err);
    if (st != M3_OK) return st;
    a->factor = m3_case_growth(a->want.terms) * (room == M3_ROOM_SUM ? M3_CASE_UNIT : 1.0);
    for (uint32_t k = 0; k < a->want.count; k++) {
        for (uint64_t i = 0; i < a->want.elements[k]; i++) {
            double size = fabs(as_stored(a->want.value[k][i], a->want.dtype[k] == M3_F64 ? M3_F32 : a->want.dtype[k]));
            if (isfinite(size) && size > a->largest[k]) a->largest[k] = size;
        }
        if (room == M3_ROOM_SHAKEN) make_shaken_room(a, k);
        if (room == M3_ROOM_SUM) make_sum_room(a, k);
    }
    return M3_OK;
}

/* How far element i of output k may lie from a value that is wanted. */
static double allowed(const answer *a, const m3_bound *bound, m3_dtype dtype, uint32_t k, uint64_t i, double want)
{
    if (!m3_dtype_is_float(dtype)) return 0.0;
    double limit = bound->absolute + bound->per_element * fabs(want) + bound->per_tensor * a->largest[k];
    const double room = a->room.count > 0 ? a->room.value[k][i] : 0.0;
    if (isfinite(room)) limit += room;
    return limit > 0.0 && m3_dtype_is_half(dtype) ? rounded(limit, want, dtype) : limit;
}

double m3_case_error_share(double have, double want, double limit)
{
    if (isnan(want)) return isnan(have) ? 0.0 : INFINITY;
    if (have == want) return 0.0;
    double error = fabs(have - want);
    if (!isfinite(error)) return INFINITY; /* one infinite or NaN, or infinities of two signs */
    return limit > 0.0 ? error / limit : INFINITY;
}

/* Is a zero's sign, part of the answer, the other one? */
static bool loses_sign(const answer *a, double have, double want)
{
    return a->rules != NULL && a->rules->keeps_zeros && have == 0.0 && want == 0.0 && signbit(have) != signbit(want);
}

/* The error of element i of output k as a share of what is allowed. */
static double share_of(const outcome *have, const answer *a, const m3_case *c, uint32_t k, uint64_t i, bool flushes)
{
    assert(have->value[k] != NULL && a->want.value[k] != NULL);
    const m3_dtype dtype = have->dtype[k];
    const double x = have->value[k][i], r = as_stored(a->want.value[k][i], dtype);
    const double limit = allowed(a, c->bound, dtype, k, i, r);
    double share = m3_case_error_share(x, r, limit);
    if (m3_dtype_is_float(dtype) && loses_sign(a, x, a->want.value[k][i])) share = INFINITY;
    if (share <= 1.0 || !flushes || loses_sign(a, x, a->flushed.value[k][i])) return share;
    return m3_case_error_share(x, as_stored(a->flushed.value[k][i], dtype), limit);
}

/* The first element that is too far off, how many are, and the largest error of them all. */
static void compare_output(const outcome *have, const answer *a, uint32_t k, const m3_case *c, m3_case_form form,
                           const char *name, m3_case_result *result)
{
    /* A device may take denormals for 0, but for ops that move them and do not reckon. */
    const bool flushes = a->flushed.count > 0 && (form == M3_CASE_INPLACE || a->rules == NULL || !a->rules->keeps_bits);
    uint64_t wrong = 0, first = 0;
    for (uint64_t i = 0; i < have->elements[k]; i++) {
        const double share = share_of(have, a, c, k, i, flushes);
        if (share > result->share) result->share = share;
        if (share > 1.0 && wrong++ == 0) first = i;
    }
    if (wrong == 0 || result->verdict == M3_VERDICT_FAIL) return;
    const double r = as_stored(a->want.value[k][first], have->dtype[k]), x = have->value[k][first];
    const double limit = isfinite(r) ? allowed(a, c->bound, have->dtype[k], k, first, r) : 0.0;
    char off[48] = "";
    if (isfinite(x - r)) (void)snprintf(off, sizeof off, "off by %.3g, ", fabs(x - r));
    result->verdict = M3_VERDICT_FAIL;
    (void)snprintf(result->text, sizeof result->text,
                   "%s: out%u[%llu] is %.9g, wanted %.9g within %.3g (%s); %s%llu of %llu elements are wrong", name, k,
                   (unsigned long long)first, x, r, limit, c->bound->reason, off, (unsigned long long)wrong,
                   (unsigned long long)have->elements[k]);
}

static void compare(const outcome *have, const answer *a, const m3_case *c, m3_case_form form, const char *name,
                    m3_case_result *result)
{
    for (uint32_t k = 0; k < have->count; k++) compare_output(have, a, k, c, form, name, result);
    uint64_t i = 0;
    while (i < have->total && memcmp(&have->before[i], &have->behind[i], sizeof have->before[i]) == 0) i++;
    if (i == have->total || result->verdict == M3_VERDICT_FAIL) return;
    const double first = have->before[i], then = have->behind[i];
    uint32_t k = 0;
    for (; i >= have->elements[k]; k++) i -= have->elements[k];
    result->verdict = M3_VERDICT_FAIL;
    (void)snprintf(result->text, sizeof result->text,
                   "%s: the same data gives other bits when it comes again, with other data between: out%u[%llu] is "
                   "%.9g first, then %.9g",
                   name, k, (unsigned long long)i, first, then);
}

void m3_case_run(m3_device *device, m3_device *reference, const m3_op_lookup *lookup, const m3_case *c, uint64_t seed,
                 m3_case_result *result)
{
    static const struct form {
        m3_case_form form;
        const char *name;
    } forms[] = {{M3_CASE_PLAIN, "as it is"}, {M3_CASE_INPLACE, "over temporaries, among other ops"}};
    *result = (m3_case_result){.verdict = M3_VERDICT_PASS};
    if ((c->layers & M3_CASE_OPS) == 0) {
        result->verdict = M3_VERDICT_SKIP;
        return;
    }
    m3_error err = {0};
    answer a = {0};
    m3_device *hostile = NULL;
    if (answer_init(&a, reference, lookup, c, seed, &err) != M3_OK) {
        m3_case_result_error(result, "the reference", &err);
        result->verdict = M3_VERDICT_FAIL;
    }
    if (result->verdict == M3_VERDICT_PASS && m3_hostile_open(device, &hostile, &err) != M3_OK)
        m3_case_result_error(result, "the device", &err);
    for (size_t f = 0; f < sizeof forms / sizeof forms[0] && result->verdict == M3_VERDICT_PASS; f++) {
        outcome have = {0};
        if (outcome_run(&have, hostile, lookup, c, forms[f].form, seed, result->ran, &err) != M3_OK)
            m3_case_result_error(result, forms[f].name, &err);
        else
            compare(&have, &a, c, forms[f].form, forms[f].name, result);
        if (f == 0) result->native = have.native;
        outcome_fini(&have);
    }
    answer_fini(&a);
    m3_hostile_close(hostile);
}
