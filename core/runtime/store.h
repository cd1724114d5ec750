/* store: where named parameters and states lie, as executables see it.
 * A chunk is one device buffer. Chunks never move and never shrink, so that a compiled program keeps its places. */
#ifndef M3_CORE_RUNTIME_STORE_H
#define M3_CORE_RUNTIME_STORE_H

#include "core/runtime/engine.h"

typedef struct m3_stored {
    char *name;
    m3_tensor_kind kind;
    m3_dtype dtype;
    m3_shape shape;
    uint32_t chunk;
    uint64_t offset; /* bytes into the chunk */
} m3_stored;

typedef struct m3_chunk {
    m3_buffer *buffer;
    uint64_t bytes, used;
} m3_chunk;

struct m3_store {
    m3_device *device;
    uint64_t seed;
    m3_stored *entries; /* in the order in which they were declared */
    uint32_t count, capacity;
    m3_chunk *chunks;
    uint32_t chunk_count, chunk_capacity;
};

/** The entry of a name, or NULL. Borrowed until the next entry is made. */
const m3_stored *m3_store_get(const m3_store *store, const char *name);

/** Make those of `tensors` (parameters and states) that are not there, with their initial values, in as few chunks as
 * the device allows. M3_ERR_INVALID when one is there with another type or shape. Waits. */
m3_status m3_store_declare(m3_store *store, const m3_tensor *const *tensors, uint32_t count, m3_error *err);

/** Copy tensors between the store and host memory, where they lie one behind the other; waits once, for all.
 * @param entries  [count], as m3_store_at() counts. */
m3_status m3_store_copy_out(m3_store *store, const uint32_t *entries, uint32_t count, void *data, m3_error *err);
m3_status m3_store_copy_in(m3_store *store, const uint32_t *entries, uint32_t count, const void *data, m3_error *err);
/** As m3_store_copy_out(), without waiting: `data` is filled when m3_store_wait() has returned for *value. Behind what
 * was handed to the device before; may be called while an executable runs, between its partitions. */
m3_status m3_store_start_out(m3_store *store, const uint32_t *entries, uint32_t count, void *data, uint64_t *value,
                             m3_error *err);
/** From any thread, whatever others do with the store and its device meanwhile. */
m3_status m3_store_wait(const m3_store *store, uint64_t value, m3_error *err);
/** Part of a tensor: `bytes` of it from byte `at` on. Waits. */
m3_status m3_store_read_part(m3_store *store, const char *name, uint64_t at, void *data, uint64_t bytes, m3_error *err);
m3_status m3_store_write_part(m3_store *store, const char *name, uint64_t at, const void *data, uint64_t bytes,
                              m3_error *err);
/** Of tensor `entry`. */
uint64_t m3_store_entry_bytes(const m3_store *store, uint32_t entry);

/** Bytes of all chunks. */
uint64_t m3_store_bytes(const m3_store *store);

#endif
