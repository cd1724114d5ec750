/* store: named tensors in device buffers, and copies to and from them. */
#include "core/runtime/store.h"

#include <string.h>

#include "core/base/alloc.h"
#include "core/runtime/init.h"

enum { STAGING = 1 << 20, SMALL_CHUNK = 1 << 20 };
static const uint64_t LARGEST = UINT64_C(1) << 44; /* elements */

m3_status m3_store_create(m3_device *device, uint64_t seed, m3_store **store, m3_error *err)
{
    *store = m3_calloc(1, sizeof **store);
    if (*store == NULL) return M3_FAIL_MEMORY(err, "store", sizeof **store);
    (*store)->device = device;
    (*store)->seed = seed;
    return M3_OK;
}

void m3_store_free(m3_store *store)
{
    if (store == NULL) return;
    for (uint32_t i = 0; i < store->chunk_count; i++)
        if (store->chunks[i].buffer != NULL)
            store->device->api->buffer_free(store->device->impl, store->chunks[i].buffer);
    for (uint32_t i = 0; i < store->count; i++) m3_free(store->entries[i].name);
    m3_free(store->entries);
    m3_free(store->chunks);
    m3_free(store);
}

const m3_stored *m3_store_get(const m3_store *store, const char *name)
{
    for (uint32_t i = 0; i < store->count; i++)
        if (strcmp(store->entries[i].name, name) == 0) return &store->entries[i];
    return NULL;
}

uint64_t m3_store_bytes(const m3_store *store)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < store->chunk_count; i++) bytes += store->chunks[i].bytes;
    return bytes;
}

/* Chunks. */

static uint64_t largest_chunk(const m3_store *store)
{
    const m3_device_limits *limits = &store->device->limits;
    return limits->largest_binding < limits->largest_buffer ? limits->largest_binding : limits->largest_buffer;
}

static uint64_t aligned(const m3_store *store, uint64_t bytes)
{
    uint64_t alignment = store->device->limits.offset_alignment;
    return (bytes + alignment - 1) / alignment * alignment;
}

static m3_status add_chunk(m3_store *store, uint64_t bytes, m3_error *err)
{
    if (store->chunk_count == store->chunk_capacity) {
        uint32_t capacity = store->chunk_capacity + 8;
        void *grown = m3_realloc(store->chunks, capacity, sizeof *store->chunks);
        if (grown == NULL) return M3_FAIL_MEMORY(err, "store", capacity * sizeof *store->chunks);
        store->chunks = grown;
        store->chunk_capacity = capacity;
    }
    m3_device *device = store->device;
    m3_chunk chunk = {NULL, bytes, 0};
    m3_status st = device->api->buffer_create(
        device->impl, bytes, M3_BUFFER_DEVICE | M3_BUFFER_UPLOAD | M3_BUFFER_DOWNLOAD, &chunk.buffer, err);
    if (st == M3_OK) store->chunks[store->chunk_count++] = chunk;
    return st;
}

/* Find or make a chunk with `bytes` free. `ahead` bytes are still to come in this batch, this tensor's among them. */
static m3_status find_chunk(m3_store *store, const char *name, uint64_t bytes, uint64_t ahead, uint32_t *chunk,
                            m3_error *err)
{
    uint64_t largest = largest_chunk(store), need = aligned(store, bytes);
    for (uint32_t i = 0; i < store->chunk_count; i++)
        if (store->chunks[i].bytes - store->chunks[i].used >= need) {
            *chunk = i;
            return M3_OK;
        }
    if (need > largest)
        return M3_FAIL(err, M3_ERR_UNSUPPORTED, name,
                       "needs %llu bytes, the largest buffer of %s has %llu; use another device or a smaller tensor",
                       (unsigned long long)bytes, store->device->name, (unsigned long long)largest);
    uint64_t size = ahead > need ? ahead : need;
    if (size < aligned(store, 1)) size = aligned(store, 1); /* only tensors without elements so far */
    *chunk = store->chunk_count;
    return add_chunk(store, size < largest ? size : largest, err);
}

static m3_status add_entry(m3_store *store, const m3_tensor *tensor, uint64_t ahead, m3_error *err)
{
    uint64_t bytes = m3_tensor_bytes(tensor);
    uint32_t chunk = 0;
    if (store->count == store->capacity) {
        uint32_t capacity = store->capacity == 0 ? 64 : store->capacity * 2;
        void *grown = m3_realloc(store->entries, capacity, sizeof *store->entries);
        if (grown == NULL) return M3_FAIL_MEMORY(err, "store", capacity * sizeof *store->entries);
        store->entries = grown;
        store->capacity = capacity;
    }
    m3_status st = find_chunk(store, tensor->name, bytes, ahead, &chunk, err);
    if (st != M3_OK) return st;
    char *name = m3_strdup(tensor->name);
    if (name == NULL) return M3_FAIL_MEMORY(err, tensor->name, strlen(tensor->name) + 1);
    store->entries[store->count++] =
        (m3_stored){name, tensor->kind, tensor->dtype, tensor->shape, chunk, store->chunks[chunk].used};
    store->chunks[chunk].used += aligned(store, bytes);
    return M3_OK;
}

static m3_status check_same(const m3_stored *entry, m3_dtype dtype, const m3_shape *shape, m3_error *err)
{
    if (entry->dtype == dtype && m3_shape_equal(&entry->shape, shape)) return M3_OK;
    return M3_FAIL(err, M3_ERR_INVALID, entry->name, "the store has it as %s %s, now it is %s %s; they must agree",
                   m3_dtype_name(entry->dtype), M3_SHAPE_TEXT(&entry->shape), m3_dtype_name(dtype),
                   M3_SHAPE_TEXT(shape));
}

/* Transfers. */

static m3_status upload(m3_store *store, const m3_stored *entry, uint64_t at, const void *data, uint64_t bytes,
                        m3_error *err)
{
    m3_device *device = store->device;
    uint64_t value = 0;
    if (bytes == 0) return M3_OK;
    m3_device_begin(device, "copies");
    m3_status st = device->api->upload(device->impl, store->chunks[entry->chunk].buffer, entry->offset + at, data,
                                       bytes, &value, err);
    if (st == M3_OK) st = device->api->wait(device->impl, value, UINT64_MAX, err);
    m3_device_idle(device);
    return st;
}

static m3_status initialise(m3_store *store, const m3_tensor *tensor, void *staging, m3_error *err)
{
    const m3_stored *entry = m3_store_get(store, tensor->name);
    uint64_t count = m3_tensor_count(tensor), size = m3_dtype_bytes(tensor->dtype), step = STAGING / size;
    m3_status st = M3_OK;
    for (uint64_t at = 0; at < count && st == M3_OK; at += step) {
        uint64_t some = count - at < step ? count - at : step;
        if ((st = m3_init_fill(tensor, store->seed, at, some, staging, err)) == M3_OK)
            st = upload(store, entry, at * size, staging, some * size, err);
    }
    return st;
}

/* Remove the entries behind the first `count`, which were not completed. Chunks stay, for the next ones. */
static void remove_behind(m3_store *store, uint32_t count)
{
    while (store->count > count) {
        m3_stored *entry = &store->entries[--store->count];
        store->chunks[entry->chunk].used = entry->offset;
        m3_free(entry->name);
    }
}

m3_status m3_store_declare(m3_store *store, const m3_tensor *const *tensors, uint32_t count, m3_error *err)
{
    uint64_t ahead = 0;
    uint32_t before = store->count;
    m3_status st = M3_OK;
    for (uint32_t i = 0; i < count && st == M3_OK; i++) {
        const m3_stored *entry = m3_store_get(store, tensors[i]->name);
        if (entry == NULL)
            ahead += aligned(store, m3_tensor_bytes(tensors[i]));
        else
            st = check_same(entry, tensors[i]->dtype, &tensors[i]->shape, err);
    }
    if (st != M3_OK) return st;
    void *staging = m3_calloc(STAGING, 1);
    if (staging == NULL) return M3_FAIL_MEMORY(err, "store", STAGING);
    for (uint32_t i = 0; i < count && st == M3_OK; i++) {
        if (m3_store_get(store, tensors[i]->name) != NULL) continue;
        if ((st = add_entry(store, tensors[i], ahead, err)) == M3_OK) st = initialise(store, tensors[i], staging, err);
        ahead -= aligned(store, m3_tensor_bytes(tensors[i]));
    }
    if (st != M3_OK) remove_behind(store, before);
    m3_free(staging);
    for (uint32_t i = 0; i < count && st == M3_OK; i++) /* the first graph says what a written entry is */
        store->entries[m3_store_get(store, tensors[i]->name) - store->entries].kind = tensors[i]->kind;
    return st;
}

/* As a graph's tensors: what no graph can have is of no use here, and its bytes may not fit 64 bits. */
static bool is_legal(m3_dtype dtype, const m3_shape *shape)
{
    uint64_t count = 1;
    if (m3_dtype_bytes(dtype) == 0 || shape->rank > M3_MAX_RANK) return false;
    for (uint32_t i = 0; i < shape->rank; i++) {
        if (shape->dim[i] != 0 && count > LARGEST / shape->dim[i]) return false;
        count *= shape->dim[i];
    }
    return true;
}

m3_status m3_store_write(m3_store *store, const char *name, m3_dtype dtype, const m3_shape *shape, const void *data,
                         m3_error *err)
{
    m3_tensor tensor = {
        .size = M3_STRUCT_SIZE(m3_tensor, data), .kind = M3_PARAMETER, .dtype = dtype, .shape = *shape, .name = name};
    const m3_stored *entry = m3_store_get(store, name);
    uint32_t before = store->count;
    m3_status st = M3_OK;
    if (!is_legal(dtype, shape))
        return M3_FAIL(err, M3_ERR_INVALID, name,
                       "type %d with rank %u is no legal tensor; give a known type and a rank of at most %d with at "
                       "most 2^44 elements",
                       (int)dtype, shape->rank, M3_MAX_RANK);
    if (entry != NULL)
        st = check_same(entry, dtype, shape, err);
    else if ((st = add_entry(store, &tensor, SMALL_CHUNK, err)) == M3_OK)
        entry = m3_store_get(store, name);
    if (st == M3_OK) st = upload(store, entry, 0, data, m3_tensor_bytes(&tensor), err);
    if (st != M3_OK) remove_behind(store, before);
    return st;
}

m3_status m3_store_read(m3_store *store, const char *name, void *data, uint64_t bytes, m3_error *err)
{
    const m3_stored *entry = m3_store_get(store, name);
    m3_device *device = store->device;
    uint64_t value = 0;
    if (entry == NULL) return M3_FAIL(err, M3_ERR_INVALID, name, "the store has no tensor of this name");
    uint64_t want = m3_shape_count(&entry->shape) * m3_dtype_bytes(entry->dtype);
    if (bytes != want)
        return M3_FAIL(err, M3_ERR_INVALID, name, "it has %llu bytes, %llu were asked for", (unsigned long long)want,
                       (unsigned long long)bytes);
    if (bytes == 0) return M3_OK;
    m3_status st = device->api->download(device->impl, store->chunks[entry->chunk].buffer, entry->offset, data, bytes,
                                         &value, err);
    return st != M3_OK ? st : device->api->wait(device->impl, value, UINT64_MAX, err);
}

static m3_status find_part(const m3_store *store, const char *name, uint64_t at, uint64_t bytes,
                           const m3_stored **entry, m3_error *err)
{
    *entry = m3_store_get(store, name);
    if (*entry == NULL) return M3_FAIL(err, M3_ERR_INVALID, name, "the store has no tensor of this name");
    const uint64_t has = m3_shape_count(&(*entry)->shape) * m3_dtype_bytes((*entry)->dtype);
    if (at <= has && bytes <= has - at) return M3_OK;
    return M3_FAIL(err, M3_ERR_RANGE, name, "it has %llu bytes, %llu from %llu on were asked for",
                   (unsigned long long)has, (unsigned long long)bytes, (unsigned long long)at);
}

m3_status m3_store_read_part(m3_store *store, const char *name, uint64_t at, void *data, uint64_t bytes, m3_error *err)
{
    const m3_stored *entry;
    m3_device *device = store->device;
    uint64_t value = 0;
    m3_status st = find_part(store, name, at, bytes, &entry, err);
    if (st != M3_OK || bytes == 0) return st;
    m3_device_begin(device, "copies");
    st = device->api->download(device->impl, store->chunks[entry->chunk].buffer, entry->offset + at, data, bytes,
                               &value, err);
    if (st == M3_OK) st = device->api->wait(device->impl, value, UINT64_MAX, err);
    m3_device_idle(device);
    return st;
}

m3_status m3_store_write_part(m3_store *store, const char *name, uint64_t at, const void *data, uint64_t bytes,
                              m3_error *err)
{
    const m3_stored *entry;
    const m3_status st = find_part(store, name, at, bytes, &entry, err);
    return st != M3_OK ? st : upload(store, entry, at, data, bytes, err);
}

uint64_t m3_store_entry_bytes(const m3_store *store, uint32_t entry)
{
    const m3_stored *e = &store->entries[entry];
    return m3_shape_count(&e->shape) * m3_dtype_bytes(e->dtype);
}

/* Does an entry begin where `bytes` from the start of another end? */
static bool follows(const m3_stored *first, uint64_t bytes, const m3_stored *entry)
{
    return entry == first || (entry->chunk == first->chunk && entry->offset == first->offset + bytes);
}

/* What lies side by side is one copy: each may cost a device as much as a kernel does.
 * @param value  Of the last copy that was queued, also after a failure. */
static m3_status start(m3_store *store, const uint32_t *entries, uint32_t count, bool out, unsigned char *data,
                       uint64_t *value, m3_error *err)
{
    const m3_device *device = store->device;
    m3_status st = M3_OK;
    *value = 0;
    for (uint32_t i = 0, next = 0; st == M3_OK && i < count; i = next) {
        const m3_stored *entry = &store->entries[entries[i]];
        m3_buffer *buffer = store->chunks[entry->chunk].buffer;
        uint64_t bytes = 0;
        for (next = i; next < count && follows(entry, bytes, &store->entries[entries[next]]); next++)
            bytes += m3_store_entry_bytes(store, entries[next]);
        if (bytes == 0) continue;
        st = out ? device->api->download(device->impl, buffer, entry->offset, data, bytes, value, err)
                 : device->api->upload(device->impl, buffer, entry->offset, data, bytes, value, err);
        data += bytes;
    }
    return st;
}

/* Waits after a failure too: nothing may still read or write the host's memory when this returns. */
static m3_status copy(m3_store *store, const uint32_t *entries, uint32_t count, bool out, unsigned char *data,
                      m3_error *err)
{
    uint64_t value = 0;
    m3_device_begin(store->device, "copies");
    const m3_status st = start(store, entries, count, out, data, &value, err);
    const m3_status waited = m3_store_wait(store, value, st == M3_OK ? err : NULL);
    m3_device_idle(store->device);
    return st != M3_OK ? st : waited;
}

m3_status m3_store_start_out(m3_store *store, const uint32_t *entries, uint32_t count, void *data, uint64_t *value,
                             m3_error *err)
{
    return start(store, entries, count, true, data, value, err);
}

m3_status m3_store_wait(const m3_store *store, uint64_t value, m3_error *err)
{
    return store->device->api->wait(store->device->impl, value, UINT64_MAX, err);
}

m3_status m3_store_copy_out(m3_store *store, const uint32_t *entries, uint32_t count, void *data, m3_error *err)
{
    return copy(store, entries, count, true, data, err);
}

m3_status m3_store_copy_in(m3_store *store, const uint32_t *entries, uint32_t count, const void *data, m3_error *err)
{
    return copy(store, entries, count, false, (unsigned char *)data, err); /* which an upload does not change */
}

/* Reading the list. */

static m3_store_entry describe(const m3_stored *entry)
{
    return (m3_store_entry){entry->name, entry->kind, entry->dtype, entry->shape};
}

uint32_t m3_store_count(const m3_store *store)
{
    return store->count;
}

void m3_store_at(const m3_store *store, uint32_t index, m3_store_entry *entry)
{
    *entry = describe(&store->entries[index]);
}

bool m3_store_find(const m3_store *store, const char *name, m3_store_entry *entry)
{
    const m3_stored *found = m3_store_get(store, name);
    if (found != NULL && entry != NULL) *entry = describe(found);
    return found != NULL;
}
