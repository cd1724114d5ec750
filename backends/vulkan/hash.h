/* hash: FNV-1a of 64 bits. */
#ifndef VULKAN_HASH_H
#define VULKAN_HASH_H

#include <stddef.h>
#include <stdint.h>

#define VULKAN_HASH_START UINT64_C(0xcbf29ce484222325)

static inline uint64_t vulkan_hash(uint64_t hash, const void *data, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) hash = (hash ^ ((const unsigned char *)data)[i]) * UINT64_C(0x100000001b3);
    return hash;
}

#endif
