/* checks: what each backend checks, wherever its memory is. All backends use this file, opencl and vulkan no other of
 * this folder. */
#ifndef HOST_CHECKS_H
#define HOST_CHECKS_H

#include "m3bsr/backend.h"

/* Does a struct of the caller's reach as far as it will be filled? `wanted` is M3_STRUCT_SIZE of its last member. */
m3_status host_check_size(const char *type, uint32_t size, uint32_t wanted, m3_error *err);

/* May a buffer have this size and usage (M3_BUFFER_*)? */
m3_status host_check_buffer(uint64_t bytes, uint32_t usage, m3_error *err);
/* Is [offset, offset + count) inside a buffer of so many bytes, and was it made for this use (M3_BUFFER_*)? */
m3_status host_check_use(uint32_t usage, uint64_t bytes, uint32_t use, const char *what, uint64_t offset,
                         uint64_t count, m3_error *err);
/* May a buffer be mapped for this access (M3_MAP_*), when it is mapped already or not? */
m3_status host_check_map(bool mapped, uint32_t access, m3_error *err);

/* M3_ERR_UNSUPPORTED when the option refuse has the op's name. refused: names joined by '+', or NULL. */
m3_status host_check_refused(const char *refused, const m3_op *op, m3_error *why);

/* The kernel that a custom op brings in a language, or NULL. */
const m3_kernel_desc *host_kernel_in(const m3_op *op, const char *language);

#endif
