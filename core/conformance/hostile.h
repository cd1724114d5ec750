/* hostile: a device around a device, on which what memory holds by luck is never what a backend hopes for.
 *
 *   buffer     guard | tensor gap tensor gap … | guard        all of it NaN patterns when it is made
 *
 * Places are odd multiples of the alignment that the device asks for, so no buffer and no copy begins at byte 0. Before
 * a run, outputs and temporaries are filled with NaN patterns again: they hold neither zeros nor the last run's values.
 * After it, guards, gaps, inputs and constants must be as they were; a byte that is not fails the run, by name.
 *
 * Runs are slow and wait. The executables of such a device need to be strict: one partition each. */
#ifndef M3_CORE_CONFORMANCE_HOSTILE_H
#define M3_CORE_CONFORMANCE_HOSTILE_H

#include "m3bsr/runtime.h"

/** What memory is filled with: a NaN as f32, and neither 0 nor 1 in any byte. A signalling one, which arithmetic makes
 * quiet: a sum of a quiet NaN and a number has its bits again, so that what is read, changed and written would look
 * untouched. */
#define M3_HOSTILE_WORD 0x7fa5deadu

/** @param device   Borrowed; must outlive the hostile one, and idle while that is in use.
 * @param hostile  Ends with m3_hostile_close(), never with m3_device_close(). */
m3_status m3_hostile_open(m3_device *device, m3_device **hostile, m3_error *err);
/** Stores and executables must be freed before. Takes NULL. */
void m3_hostile_close(m3_device *hostile);
/** Fill memory of the host in the same way. */
void m3_hostile_fill(void *bytes, uint64_t count);

#endif
