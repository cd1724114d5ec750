/* seeds: small valid files of the binary formats, for the fuzz targets to start from. Usage: PROGRAM FOLDER
 * Writes FOLDER/TARGET/...; the text formats have theirs in tests/fuzz/corpus. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/base/safetensors.h"
#include "core/run/checkpoint.h"
#include "m3bsr/data.h"
#include "tests/fuzz/fuzz.h"

static const char *folder;

static const char *place(const char *target, const char *name)
{
    static char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", folder, target);
    (void)mkdir(folder, 0755);
    (void)mkdir(path, 0755);
    (void)snprintf(path, sizeof path, "%s/%s/%s", folder, target, name);
    return path;
}

static void put(const char *target, const char *name, const void *head, size_t head_size, const void *bytes,
                size_t size)
{
    FILE *file = fopen(place(target, name), "wb");
    FUZZ_CHECK(file != NULL);
    FUZZ_CHECK(fwrite(head, 1, head_size, file) == head_size && fwrite(bytes, 1, size, file) == size);
    FUZZ_CHECK(fclose(file) == 0);
}

/* .npy, version 1: magic, u16 length, a Python dict that ends in a newline, the numbers. Returns its size. */
static size_t make_npy(char *to, size_t room, const char *descr, const char *order, const char *shape, size_t numbers)
{
    static const char magic[] = {'\x93', 'N', 'U', 'M', 'P', 'Y', 1, 0};
    int length =
        snprintf(to + 10, room - 10, "{'descr': '%s', 'fortran_order': %s, 'shape': %s, }\n", descr, order, shape);
    memcpy(to, magic, sizeof magic);
    to[8] = (char)length;
    to[9] = 0;
    memset(to + 10 + length, 0x3c, numbers);
    return 10 + (size_t)length + numbers;
}

static void seed_matrices(void)
{
    static const struct {
        const char *name, *descr, *order, *shape;
        size_t numbers;
    } rows[] = {{"half", "<f2", "False", "(3, 2)", 12},
                {"single", "<f4", "True", "(2, 3)", 24},
                {"double", "<f8", "False", "(1, 2)", 16},
                {"whole", ">i8", "False", "(1, 2)", 16}};
#define EVENTS "@interactions.tsv\nuser_id\titem_id\ttimestamp\nu\ta\t1\nv\tb\t2\n"
    static const char *const imports[] = {
        EVENTS "@image.ids.txt\nc\na\nb\n@image.npy\n", EVENTS "@ids.txt\nitem_id\na\na\n@image.npy\n",
        EVENTS "@text.npy\n@ids.txt\n\xff\n@image.npy\n", EVENTS "@ids.txt\na\n@image.npy\n"};
    char bytes[512];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t size = make_npy(bytes, sizeof bytes, rows[i].descr, rows[i].order, rows[i].shape, rows[i].numbers);
        put("matrix", rows[i].name, "\0", 1, bytes, size);
        put("import", rows[i].name, imports[i], strlen(imports[i]), bytes, size);
    }
}

static m3_status fill(void *user, uint32_t index, void *data, uint64_t bytes, m3_error *err)
{
    (void)user, (void)err;
    memset(data, 0x3c + (int)index, (size_t)bytes);
    return M3_OK;
}

static void seed_safetensors(void)
{
    static const m3_dtype types[] = {M3_F32, M3_F16, M3_BF16, M3_F64, M3_I32, M3_U32, M3_U8, M3_BOOL};
    enum { TYPES = sizeof types / sizeof types[0] };
    static const m3_safetensors_note note = {"config", "{\"items\": 3}"};
    m3_safetensors_entry entries[TYPES];
    char bytes[4096], image[4096];
    for (uint32_t i = 0; i < TYPES; i++)
        entries[i] = (m3_safetensors_entry){m3_dtype_name(types[i]), types[i], {.rank = 2, .dim = {2, 3}}};
    FUZZ_CHECK(m3_safetensors_write(place("safetensors", "types"), entries, TYPES, &note, 1, fill, NULL, NULL) ==
               M3_OK);
    entries[0] = (m3_safetensors_entry){"scalar", M3_F32, {.rank = 0}};
    entries[1] = (m3_safetensors_entry){"empty", M3_F32, {.rank = 1, .dim = {0}}};
    FUZZ_CHECK(m3_safetensors_write(place("safetensors", "shapes"), entries, 2, NULL, 0, fill, NULL, NULL) == M3_OK);
    entries[0] = (m3_safetensors_entry){"image", M3_BF16, {.rank = 2, .dim = {2, 3}}};
    (void)snprintf(image, sizeof image, "%s", place("safetensors", "image"));
    FUZZ_CHECK(m3_safetensors_write(image, entries, 1, NULL, 0, fill, NULL, NULL) == M3_OK);
    FILE *file = fopen(image, "rb");
    FUZZ_CHECK(file != NULL);
    size_t size = fread(bytes, 1, sizeof bytes, file);
    (void)fclose(file);
    put("matrix", "safetensors", "\1", 1, bytes, size);
}

static m3_status read_rows(const m3_checkpoint_rows *rows, uint64_t begin, uint64_t end, void *data, m3_error *err)
{
    (void)err;
    memset(data, 0, (size_t)((end - begin) * rows->shape.dim[1] * sizeof(float)));
    return M3_OK;
}

/* As a training writes it, for the model of fuzz_checkpoint.c. */
static void seed_checkpoint(void)
{
    static const m3_shape shape = {2, {2, 3}};
    static const float values[6] = {1, 2, 3, 4, 5, 6};
    const m3_trainer_state state = {.epoch = 1, .steps = 7, .best = 0.25, .settings = "0123456789abcdef"};
    static const char *const names[] = {"w", "adam.m.w", "adam.v.w"};
    m3_store *store = NULL;
    FUZZ_CHECK(m3_store_create(fuzz_device(), 1, &store, NULL) == M3_OK);
    for (int i = 0; i < 3; i++) FUZZ_CHECK(m3_store_write(store, names[i], M3_F32, &shape, values, NULL) == M3_OK);
    FUZZ_CHECK(m3_checkpoint_save(place("checkpoint", "saved"), store, &state, NULL) == M3_OK);
    m3_store_free(store);
    const m3_checkpoint_rows rows = {
        .name = "w", .dtype = M3_F32, .shape = shape, .begin = 0, .end = shape.dim[0], .read = read_rows};
    const m3_checkpoint_part part = {UINT64_C(0x0123456789abcdef), 0, 1};
    FUZZ_CHECK(m3_checkpoint_write_part(place("checkpoint", "part"), &part, &rows, 1, NULL) == M3_OK);
}

static void seed_set(void)
{
    m3_synth_options synth = M3_SYNTH_OPTIONS_INIT;
    m3_import_options import = M3_IMPORT_OPTIONS_INIT;
    char source[512];
    (void)snprintf(source, sizeof source, "%s", place("source", ""));
    synth.users = 4;
    synth.items = 6;
    synth.clusters = 2;
    synth.modalities = 1;
    synth.width = 2;
    synth.events = 4;
    import.source = source;
    FUZZ_CHECK(m3_data_synth(&synth, source, NULL) == M3_OK);
    FUZZ_CHECK(m3_data_import(&import, place("dataset", "synthetic"), NULL, NULL) == M3_OK);
    import.no_features = true;
    FUZZ_CHECK(m3_data_import(&import, place("dataset", "plain"), NULL, NULL) == M3_OK);
}

int main(int argc, char **argv)
{
    if (argc != 2) return 2;
    folder = argv[1];
    seed_matrices();
    seed_safetensors();
    seed_checkpoint();
    seed_set();
    return 0;
}
