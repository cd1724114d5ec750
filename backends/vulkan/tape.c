/* tape: SPIR-V of a tape. The shader brings everything but the order of the steps: functions do_NAME, variables inK
 * that they read and outK that are stored, and a function tape(), whose body is written here, a call for each step:
 *
 *   %v0 = OpLoad %uint %in0
 *   %v1 = OpFunctionCall %uint %do_exp %v0
 *   OpStore %out0 %v1
 *   OpReturn
 *
 * So a driver compiles the steps that there are, with nothing to fold, and a chain may be of any functions. The build
 * keeps the names in this shader. */
#include "backends/vulkan/tape.h"

#include <string.h>

enum {
    HEADER_WORDS = 5,
    BOUND = 3, /* of the header: all ids are below it */
    OP_NAME = 5,
    OP_FUNCTION = 54,
    OP_FUNCTION_END = 56,
    OP_FUNCTION_CALL = 57,
    OP_LOAD = 61,
    OP_STORE = 62,
    OP_LABEL = 248,
    OP_RETURN = 253
};
enum { CALL_WORDS = 4, LOAD_WORDS = 4, STORE_WORDS = 3, MAX_OPERANDS = 3 };
enum {
    MAX_BODY = M3_CHAIN_MAX_INPUTS * LOAD_WORDS + M3_CHAIN_MAX_STEPS * (CALL_WORDS + MAX_OPERANDS) +
               M3_CHAIN_MAX_OUTPUTS * STORE_WORDS + 1
};

static uint32_t op_at(const uint32_t *word)
{
    return *word & 0xffff;
}

static uint32_t length_at(const uint32_t *word)
{
    return *word >> 16;
}

/* The first instruction `op` from `at` on, or the end. */
static size_t find(const vulkan_shader *shader, size_t at, uint32_t op)
{
    const size_t end = shader->bytes / sizeof(uint32_t);
    while (at < end && op_at(&shader->words[at]) != op) at += length_at(&shader->words[at]);
    return at;
}

/* OpFunction, type of the result, id: of this id, or the end. */
static size_t find_function(const vulkan_shader *shader, uint32_t id)
{
    const size_t end = shader->bytes / sizeof(uint32_t);
    size_t at = find(shader, HEADER_WORDS, OP_FUNCTION);
    while (at < end && shader->words[at + 2] != id) at = find(shader, at + length_at(&shader->words[at]), OP_FUNCTION);
    return at;
}

/* The id of a name; of functions the name ends before the list of types. 0: there is none. */
static uint32_t id_of(const vulkan_shader *shader, const char *name)
{
    const size_t length = strlen(name), end = shader->bytes / sizeof(uint32_t);
    for (size_t at = find(shader, HEADER_WORDS, OP_NAME); at < end;
         at = find(shader, at + length_at(&shader->words[at]), OP_NAME)) {
        const char *text = (const char *)&shader->words[at + 2];
        if (strncmp(text, name, length) == 0 && (text[length] == 0 || text[length] == '('))
            return shader->words[at + 1];
    }
    return 0;
}

static uint32_t id_of_number(const vulkan_shader *shader, const char *stem, uint32_t number)
{
    char name[16];
    (void)snprintf(name, sizeof name, "%s%u", stem, number);
    return id_of(shader, name);
}

static uint32_t id_of_function(const vulkan_shader *shader, const char *function)
{
    char name[32];
    (void)snprintf(name, sizeof name, "do_%s", function);
    return id_of(shader, name);
}

typedef struct body {
    uint32_t count, words[MAX_BODY];
    bool whole; /* all names were found */
} body;

static void add(body *b, uint32_t op, const uint32_t *operands, uint32_t count)
{
    b->words[b->count++] = (count + 1) << 16 | op;
    for (uint32_t i = 0; i < count; i++) {
        b->words[b->count++] = operands[i];
        if (operands[i] == 0) b->whole = false;
    }
}

/* Value k of the tape has id `first` + k. */
static body write_body(const vulkan_shader *shader, const lower_tape *tape, uint32_t type, uint32_t first)
{
    body b = {.whole = true};
    for (uint32_t k = 0; k < tape->inputs; k++) {
        const uint32_t load[] = {type, first + k, id_of_number(shader, "in", k)};
        add(&b, OP_LOAD, load, LOAD_WORDS - 1);
    }
    for (uint32_t s = 0; s < tape->steps; s++) {
        const lower_tape_function *function = lower_tape_function_at(tape->function[s]);
        uint32_t call[CALL_WORDS - 1 + MAX_OPERANDS] = {type, first + tape->inputs + s,
                                                        id_of_function(shader, function->name)};
        for (uint32_t k = 0; k < function->operands; k++) call[CALL_WORDS - 1 + k] = first + tape->operand[s][k];
        add(&b, OP_FUNCTION_CALL, call, CALL_WORDS - 1 + function->operands);
    }
    for (uint32_t i = 0; i < tape->outputs; i++) {
        const uint32_t store[] = {id_of_number(shader, "out", i), first + tape->result[i]};
        add(&b, OP_STORE, store, STORE_WORDS - 1);
    }
    add(&b, OP_RETURN, NULL, 0);
    return b;
}

m3_status vulkan_tape_write(const m3_host *host, const vulkan_shader *shader, const lower_tape *tape, uint32_t **words,
                            size_t *bytes, m3_error *err)
{
    const size_t end = shader->bytes / sizeof(uint32_t);
    const uint32_t bound = shader->words[BOUND];
    const size_t any = find_function(shader, id_of(shader, "do_keep")); /* all have one type of result */
    const size_t label = find(shader, find_function(shader, id_of(shader, "tape")), OP_LABEL);
    const size_t to = find(shader, label, OP_FUNCTION_END);
    if (any == end || to == end) return M3_FAIL(err, M3_ERR_INTERNAL, shader->entry, "its shader has no tape");
    const size_t from = label + length_at(&shader->words[label]);
    const body b = write_body(shader, tape, shader->words[any + 1], bound);
    if (!b.whole) return M3_FAIL(err, M3_ERR_INTERNAL, shader->entry, "its shader lacks a name of the tape");
    const size_t all = from + b.count + (end - to);
    uint32_t *made = host->allocate(host->user, all, sizeof *made);
    if (made == NULL) return M3_FAIL_MEMORY(err, shader->entry, all * sizeof *made);
    memcpy(made, shader->words, from * sizeof *made);
    memcpy(made + from, b.words, b.count * sizeof *made);
    memcpy(made + from + b.count, shader->words + to, (end - to) * sizeof *made);
    made[BOUND] = bound + tape->inputs + tape->steps;
    *words = made;
    *bytes = all * sizeof *made;
    return M3_OK;
}
