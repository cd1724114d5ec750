/* trace: intermediate values of the model for users, in a file of tensors under the names of vector files (MODEL.md
 * 13). Inference runs in batches, and their rows are put together along n. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/json.h"
#include "core/base/outfile.h"
#include "core/base/safetensors.h"
#include "core/run/run.h"
#include "core/serve/serve.h"
#include "core/settings/settings.h"

static const char *const names[] = {"ids",    "encoded", "after_modality", "after_behavior", "specific",
                                    "common", "gate",    "user",           "scores",         NULL};

/* By the places of the names. */
static const struct {
    const char *in_file;
    uint32_t publish; /* 0: an input */
    uint32_t axis;    /* of n */
} kinds[] = {
    {"input.ids", 0, 1},
    {"infer.encoded", M3_PUBLISH_ENCODED, 2},
    {"infer.after_modality", M3_PUBLISH_AFTER_MODALITY, 2},
    {"infer.after_behavior", M3_PUBLISH_AFTER_BEHAVIOR, 2},
    {"infer.specific", M3_PUBLISH_SPECIFIC, 1},
    {"infer.common", M3_PUBLISH_COMMON, 1},
    {"infer.gate", M3_PUBLISH_GATE, 0},
    {"infer.user", M3_PUBLISH_USER, 0},
    {"infer.scores", M3_PUBLISH_SCORES, 0},
};
enum { KINDS = sizeof kinds / sizeof kinds[0], SCORES = KINDS - 1, TENSOR_BYTES = 4 /* an element: i32 or f32 */ };
_Static_assert(sizeof names / sizeof names[0] == KINDS + 1, "every tensor has a name");

const char *const *m3_trace_tensors(void)
{
    return names;
}

/* A tensor of the file, as far as the batches have come. */
typedef struct traced {
    const char *from;  /* bytes of a run: [outer, batch, inner] */
    char *data;        /* [outer, count, inner] */
    size_t outer, row; /* row: bytes of `inner` */
} traced;

typedef struct trace {
    const m3_served *served;
    const m3_histories *histories; /* NULL: users of the set */
    const uint32_t *users;
    uint32_t count;
    bool wanted[KINDS];
    m3_executable *executable;
    m3_infer_shape shape;
    traced tensors[KINDS]; /* as the entries */
    m3_safetensors_entry entries[KINDS];
    uint32_t tensor_count;
} trace;

/* What is wanted. */

static m3_status choose(trace *t, const char *const *tensors, m3_error *err)
{
    for (uint32_t i = 0; tensors == NULL && i < KINDS; i++) t->wanted[i] = i != SCORES;
    for (; tensors != NULL && *tensors != NULL; tensors++) {
        uint32_t found = 0;
        while (found < KINDS && strcmp(names[found], *tensors) != 0) found++;
        if (found == KINDS)
            return M3_FAIL(err, M3_ERR_INVALID, *tensors,
                           "is no tensor that can be traced; there are ids, encoded, after_modality, after_behavior, "
                           "specific, common, gate, user and scores");
        t->wanted[found] = true;
    }
    return M3_OK;
}

static m3_status compile(trace *t, m3_served *served, m3_error *err)
{
    uint32_t publish = M3_PUBLISH_USER; /* always: there is no inference without an output */
    for (uint32_t i = 0; i < KINDS; i++)
        if (t->wanted[i]) publish |= kinds[i].publish;
    const uint32_t batch = t->count < served->shape.batch ? t->count : served->shape.batch;
    m3_status st = m3_served_publish(served, publish, batch, &t->executable, err);
    return st != M3_OK ? st : m3_infer_shape_of(t->executable, &t->shape, err);
}

/* Of a kind of interests that the configuration leaves out there is nothing to trace. */
static bool is_left_out(const trace *t, uint32_t kind)
{
    const bool interests = kinds[kind].publish == M3_PUBLISH_SPECIFIC || kinds[kind].publish == M3_PUBLISH_COMMON;
    return interests && m3_executable_output_tensor(t->executable, names[kind]) == NULL;
}

static m3_status prepare_tensor(trace *t, uint32_t kind, m3_error *err)
{
    const bool input = kinds[kind].publish == 0;
    const m3_tensor *tensor = input ? m3_graph_find(m3_executable_graph(t->executable), names[kind])
                                    : m3_executable_output_tensor(t->executable, names[kind]);
    const void *from = input ? (const void *)t->shape.ids : m3_executable_output(t->executable, names[kind], NULL);
    if (tensor == NULL || from == NULL || tensor->shape.rank <= kinds[kind].axis)
        return M3_FAIL(err, M3_ERR_INTERNAL, names[kind], "is not published by the compiled inference");
    traced one = {.from = from, .outer = 1, .row = TENSOR_BYTES};
    m3_shape shape = tensor->shape;
    for (uint32_t i = 0; i < shape.rank; i++) {
        if (i < kinds[kind].axis) one.outer *= shape.dim[i];
        if (i > kinds[kind].axis) one.row *= shape.dim[i];
    }
    shape.dim[kinds[kind].axis] = t->count;
    if ((one.data = m3_calloc(one.outer * t->count, one.row)) == NULL)
        return M3_FAIL_MEMORY(err, names[kind], one.outer * t->count * one.row);
    t->entries[t->tensor_count] = (m3_safetensors_entry){kinds[kind].in_file, tensor->dtype, shape};
    t->tensors[t->tensor_count++] = one;
    return M3_OK;
}

/* Values. */

static m3_status take_rows(void *user, uint64_t first, uint32_t rows, m3_error *err)
{
    trace *t = user;
    (void)err;
    for (uint32_t i = 0; i < t->tensor_count; i++) {
        const traced *x = &t->tensors[i];
        for (size_t o = 0; o < x->outer; o++)
            memcpy(x->data + (o * t->count + first) * x->row, x->from + o * t->shape.batch * x->row, rows * x->row);
    }
    return M3_OK;
}

/* Notes of the file. */

typedef enum note { FORMAT, VERSION, RUN, CHECKPOINT, USERS, BEHAVIORS, MODALITIES, EXPERTS, ITEMS, NOTES } note;

/* A list without all of its entries, as memory ran out, is none. */
static json_t *complete(json_t *list, size_t size)
{
    if ((json_is_array(list) ? json_array_size(list) : json_object_size(list)) == size) return list;
    json_decref(list);
    return NULL;
}

static json_t *user_ids(const trace *t)
{
    json_t *ids = json_array();
    for (uint32_t i = 0; i < t->count; i++)
        (void)json_array_append_new(ids, json_string(t->histories != NULL
                                                         ? m3_histories_user_id(t->histories, t->users[i])
                                                         : m3_dataset_user_id(t->served->set, t->users[i])));
    return complete(ids, t->count);
}

static json_t *texts(const char *const *from, uint32_t count)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < count; i++) (void)json_array_append_new(list, json_string(from[i]));
    return complete(list, count);
}

static json_t *expert_names(const m3_sequence_names *sequences)
{
    char text[M3_EXPERT_NAME];
    json_t *list = json_array();
    const uint32_t experts = sequences->behavior_count * sequences->modality_count + 1;
    for (uint32_t i = 0; i < experts; i++)
        (void)json_array_append_new(list, json_string(m3_expert_name(sequences, i, text)));
    return complete(list, experts);
}

/* Items of histories, or all of them beside their scores. */
static void mark_items(const trace *t, uint8_t *marked, uint32_t items)
{
    if (t->wanted[SCORES]) memset(marked, 1, (size_t)items + 1);
    for (uint32_t i = 0; i < t->count; i++)
        for (uint32_t b = 0; b < m3_dataset_behavior_count(t->served->set); b++) {
            const m3_events events = t->histories != NULL ? m3_histories_events(t->histories, t->users[i], b)
                                                          : m3_dataset_events(t->served->set, t->users[i], b);
            for (uint32_t k = 0; k < events.count; k++) /* in range, unless something writes to the set's file */
                if (events.items[k] <= items) marked[events.items[k]] = 1;
        }
}

static json_t *item_ids(const trace *t)
{
    size_t count = 0;
    const uint32_t items = m3_dataset_item_count(t->served->set);
    uint8_t *marked = m3_calloc((size_t)items + 1, 1);
    if (marked == NULL) return NULL;
    json_t *ids = json_object();
    mark_items(t, marked, items);
    for (uint32_t item = 1; item <= items; item++) {
        char number[16];
        if (!marked[item]) continue;
        (void)snprintf(number, sizeof number, "%u", item);
        (void)json_object_set_new(ids, number, json_string(m3_dataset_item_id(t->served->set, item)));
        count++;
    }
    m3_free(marked);
    return complete(ids, count);
}

static m3_status write_json(json_t *value, note which, m3_safetensors_note *notes, m3_error *err)
{
    char *text = value != NULL ? m3_json_text(value, JSON_COMPACT) : NULL;
    json_decref(value);
    notes[which].value = text;
    return text != NULL ? M3_OK : M3_FAIL_MEMORY(err, notes[which].key, 0);
}

/* The texts from USERS on are made here. */
static m3_status make_notes(const trace *t, m3_safetensors_note notes[NOTES], m3_error *err)
{
    m3_status st;
    m3_sequence_names sequences;
    static const m3_safetensors_note keys[NOTES] = {{"format", "m3bsr-trace"}, {"version", "1"},  {"run", NULL},
                                                    {"checkpoint", NULL},      {"users", NULL},   {"behaviors", NULL},
                                                    {"modalities", NULL},      {"experts", NULL}, {"items", NULL}};
    memcpy(notes, keys, sizeof keys);
    notes[RUN].value = t->served->run;
    notes[CHECKPOINT].value = t->served->checkpoint;
    if ((st = m3_settings_names(t->served->settings, t->served->set, &sequences, err)) != M3_OK) return st;
    if ((st = write_json(user_ids(t), USERS, notes, err)) != M3_OK) return st;
    if ((st = write_json(texts(sequences.behaviors, sequences.behavior_count), BEHAVIORS, notes, err)) != M3_OK)
        return st;
    if ((st = write_json(texts(sequences.modalities, sequences.modality_count), MODALITIES, notes, err)) != M3_OK)
        return st;
    if ((st = write_json(expert_names(&sequences), EXPERTS, notes, err)) != M3_OK) return st;
    return write_json(item_ids(t), ITEMS, notes, err);
}

static m3_status read_tensor(void *user, uint32_t index, void *data, uint64_t bytes, m3_error *err)
{
    const trace *t = user;
    (void)err;
    memcpy(data, t->tensors[index].data, bytes);
    return M3_OK;
}

m3_status m3_trace_users(m3_served *served, const m3_histories *histories, const uint32_t *users, uint32_t count,
                         const char *const *tensors, const char *path, m3_error *err)
{
    m3_status st = M3_OK;
    m3_safetensors_note notes[NOTES] = {{0}};
    trace t = {.served = served, .histories = histories, .users = users, .count = count};
    const char *const inputs[] = {served->checkpoint, served->data};
    if (count == 0) return M3_FAIL(err, M3_ERR_RANGE, "users", "are none; give at least one");
    if ((st = m3_outfile_check(path, inputs, 2, err)) != M3_OK) goto done;
    if ((st = m3_run_check_output(served->run, path, err)) != M3_OK) goto done;
    if ((st = m3_run_check_beside(served->checkpoint, path, err)) != M3_OK) goto done;
    if ((st = choose(&t, tensors, err)) != M3_OK) goto done;
    if ((st = compile(&t, served, err)) != M3_OK) goto done;
    for (uint32_t i = 0; i < KINDS; i++) {
        if (!t.wanted[i] || (tensors == NULL && is_left_out(&t, i))) continue;
        if (is_left_out(&t, i)) {
            st = M3_FAIL(err, M3_ERR_INVALID, names[i], "is not there: the run's key interests leaves it out");
            goto done;
        }
        if ((st = prepare_tensor(&t, i, err)) != M3_OK) goto done;
    }
    if ((st = m3_infer_users(&t.shape, m3_served_source(served), histories, users, count, take_rows, &t, err)) != M3_OK)
        goto done;
    if ((st = make_notes(&t, notes, err)) != M3_OK) goto done;
    st = m3_safetensors_write(path, t.entries, t.tensor_count, notes, NOTES, read_tensor, &t, err);
done:
    for (uint32_t i = USERS; i < NOTES; i++) m3_free((char *)(uintptr_t)notes[i].value);
    for (uint32_t i = 0; i < t.tensor_count; i++) m3_free(t.tensors[i].data);
    m3_executable_free(t.executable);
    return st;
}
