#!/bin/bash
# The layer system is worth what it finds: a backend that breaks one promise of its interface after another
# (faulty/duties.c), each of which a check must find and name. Prints which one did. Sanitizers would find some first.
# Labels: release
source "$(dirname "$0")/../support/planted.sh"
listed=
m=("$M3BSR" conformance --plugin-path "$FAULTY_DIR" --backend faulty --layer system --threads 2)

# duty | checks | exit status | what the report says, in parts between &
while IFS='|' read -r duty checks status says; do
    duty=${duty// /} checks=${checks// /} status=${status// /} says=${says# }
    listed="$listed $duty"
    planted "$duty" "$status" "$says" --layer system --cases "$checks" --threads 2
done <<'TABLE'
duty_none            | system.*             | 0 | pass
duty_close_leaks     | system.close         | 1 | FAIL  system.close: after devices and backend were closed & 1 blocks of 48 bytes that were not released
duty_grows_host      | system.reopen        | 1 | FAIL  system.reopen: device_open and device_close: wanted as many blocks
duty_grows_heap      | system.reopen        | 1 | FAIL  system.reopen: & wanted no growth of the heap
duty_grows_files     | system.reopen        | 1 | FAIL  system.reopen: & wanted as many open files as before
duty_grows_threads   | system.reopen        | 1 | FAIL  system.reopen: & wanted as many threads as before
duty_grows_backend   | system.reopen.backend | 1 | FAIL  system.reopen.backend: & wanted no growth of the heap
duty_grows_compile   | system.recompile     | 1 | FAIL  system.recompile: & wanted no growth of the heap
duty_list_overflow   | system.list          | 1 | FAIL  system.list: list with room for 1 infos: wanted nothing behind them to change
duty_list_counts     | system.list          | 1 | FAIL  system.list: list: wanted the same count
duty_any_index       | system.absent        | 1 | FAIL  system.absent: device_open of device 1 of 1: wanted M3_ERR_INVALID, came M3_OK
duty_limits_overflow | system.limits        | 1 | FAIL  system.limits: limits: wanted nothing behind the struct to change
duty_null_crash      | system.misuse.null   | 1 | FAIL  system.misuse.null: the process was killed by SIGSEGV
duty_shared_device   | system.devices       | 1 | FAIL  system.devices: memory_used of the second of two devices
duty_shared_host     | system.backends      | 1 | FAIL  system.backends: work on the first of two opened backends: wanted the second one's host left alone
duty_oversize_crash  | system.oversize      | 1 | FAIL  system.oversize: the process was killed by SIGSEGV
duty_oversize_wraps  | system.oversize      | 1 | FAIL  system.oversize: & wanted M3_ERR_MEMORY, came M3_OK
duty_oversize_kind   | system.oversize      | 1 | FAIL  system.oversize: & wanted M3_ERR_MEMORY, came M3_ERR_INVALID
duty_oversize_silent | system.oversize      | 1 | FAIL  system.oversize: & wanted a message that says how much was asked
duty_oversize_keeps  | system.oversize      | 1 | FAIL  system.oversize: & wanted nothing to be kept, came 1 blocks
duty_zero_bytes      | system.misuse.buffer | 1 | FAIL  system.misuse.buffer: buffer_create of 0 bytes: wanted M3_ERR_INVALID, came M3_OK
duty_usage_bits      | system.misuse.buffer | 1 | FAIL  system.misuse.buffer: & unknown usage bit 20
duty_undeclared      | system.misuse.use    | 1 | FAIL  system.misuse.use: & without M3_BUFFER_UPLOAD: wanted M3_ERR_INVALID, came M3_OK
duty_range_ignored   | system.misuse.copy   | 1 | FAIL  system.misuse.copy: upload of 9 bytes at 0 of a buffer of 8: wanted M3_ERR_RANGE, came M3_OK
duty_range_kind      | system.misuse.copy   | 1 | FAIL  system.misuse.copy: & wanted M3_ERR_RANGE, came M3_ERR_INVALID
duty_range_wraps     | system.misuse.copy   | 1 | FAIL  system.misuse.copy: upload of 18446744073709551612 bytes at 4
duty_upload_aligns   | system.copy.u8       | 1 | FAIL  system.copy.u8: upload of & wanted byte
duty_upload_halves   | system.copy.*        | 1 | FAIL  system.copy.f16: upload of & FAIL  system.copy.bf16: & 7 pass, 2 fail
duty_upload_behind   | system.copy.bool     | 1 | FAIL  system.copy.bool: upload of & wanted byte
duty_download_behind | system.copy.f16      | 1 | FAIL  system.copy.f16: & wrote 0 bytes behind the end of the host's memory
duty_download_aligns | system.copy.f32      | 1 | FAIL  system.copy.f32: upload of & then download of
duty_large_cut       | system.copy.large    | 1 | FAIL  system.copy.large: upload of all, then download of 5242883 bytes at 0: wanted byte 4194304
duty_upload_later    | system.copy.i32      | 1 | FAIL  system.copy.i32: upload of & came 0xee
duty_map_copy        | system.map           | 1 | FAIL  system.map: writes through a mapping and buffer_unmap
duty_memory_lost     | system.full          | 1 | FAIL  system.full: & wanted room for as many buffers, 32, came 0
duty_used_wrong      | system.used          | 1 | FAIL  system.used: memory_used with a buffer of 1048576 bytes more
duty_host_overrun    | system.close         | 1 | FAIL  system.close: the backend wrote 0 bytes behind the end of 5 bytes
duty_double_release  | system.close         | 1 | FAIL  system.close: the backend released a pointer that the host had not allocated
duty_leak_open       | system.alloc.device  | 1 | FAIL  system.alloc.device: device_open while request 2 of the host's memory fails: wanted nothing to be kept
duty_leak_buffer     | system.alloc.buffer  | 1 | FAIL  system.alloc.buffer: buffer_create while request 3 of the host's memory fails: wanted nothing to be kept
duty_leak_compile    | system.alloc.compile | 1 | FAIL  system.alloc.compile: compile while request 2 of the host's memory fails: wanted nothing to be kept
duty_memory_kind     | system.alloc.buffer  | 1 | FAIL  system.alloc.buffer: & wanted M3_ERR_MEMORY, came M3_ERR_INTERNAL
duty_memory_crash    | system.alloc.device  | 1 | FAIL  system.alloc.device: the process was killed by SIGSEGV
duty_run_allocates   | system.alloc.run     | 1 | FAIL  system.alloc.run: submit of a program for the first time: wanted no request
duty_value_stays     | system.order         | 1 | FAIL  system.order: upload after upload: wanted a value above
duty_wait_unknown    | system.wait          | 1 | FAIL  system.wait: wait for value 2^64 - 1
duty_lost_forgotten  | system.lost          | 1 | FAIL  system.lost: submit on a lost device: wanted M3_ERR_DEVICE_LOST, came M3_OK
duty_lost_kind       | system.lost          | 1 | FAIL  system.lost: the third run with fail_after=2: wanted M3_ERR_DEVICE_LOST, came M3_ERR_INTERNAL
duty_lost_copies     | system.lost          | 1 | FAIL  system.lost: upload on a lost device: wanted M3_ERR_DEVICE_LOST, came M3_OK
duty_lost_hangs      | system.lost          | 1 | FAIL  system.lost: it did not end within
duty_static_scratch  | system.threads       | 1 | FAIL  system.threads: a run while a thread works on another device: wanted y[
duty_last_program    | system.programs      | 1 | FAIL  system.programs: two programs on one device
duty_stop_ignored    | system.stop          | 1 | FAIL  system.stop: a run that is stopped at once: wanted M3_ERR_INTERRUPTED, came M3_OK
duty_drift           | system.repeat        | 1 | FAIL  system.repeat: & wanted the same bits as in the first run
duty_says_yes        | system.unknown.op    | 1 | FAIL  system.unknown.op: supports of a custom op without kernels or meaning: wanted M3_ERR_UNSUPPORTED, came M3_OK
duty_says_no         | system.supports      | 1 | FAIL  system.supports: compile of add( & to which supports says no: wanted M3_ERR_UNSUPPORTED, came M3_OK
duty_unknown_crash   | system.unknown.op    | 1 | FAIL  system.unknown.op: the process was killed by SIGSEGV
duty_type_crash      | system.unknown.type  | 1 | FAIL  system.unknown.type: the process was killed by SIGSEGV
duty_place_unchecked | system.places        | 1 | FAIL  system.places: compile with a place behind the end of its segment: wanted M3_ERR_RANGE, came M3_OK
duty_place_rounded   | system.places        | 1 | FAIL  system.places: compile with a place that is not aligned: wanted M3_ERR_RANGE, came M3_OK
duty_supports_static | system.supports.beside | 1 | FAIL  system.supports.beside: supports in a thread beside runs
duty_few_devices     | system.many.devices  | 1 | FAIL  system.many.devices: device_open beside an open device: wanted M3_OK, came M3_ERR_INTERNAL
duty_few_programs    | system.many.programs | 1 | FAIL  system.many.programs: one of 24 programs
duty_few_buffers     | system.many.buffers  | 1 | FAIL  system.many.buffers: buffer_create of & came M3_ERR_INTERNAL
duty_shared_memory   | system.many.devices  | 1 | FAIL  system.many.devices: upload on each of 8 devices
duty_run_grows       | system.rerun         | 1 | FAIL  system.rerun: & wanted no growth of the heap
duty_cache_crash     | system.bare          | 1 | FAIL  system.bare: the process was killed by SIGSEGV
duty_keeps_program   | system.close         | 1 | FAIL  system.close: on a new device: a run: wanted M3_OK, came M3_ERR_INTERNAL (the places are gone)
duty_error_code      | system.misuse.buffer | 1 | FAIL  system.misuse.buffer: & wanted the error to have the code of the status
duty_handle_kept     | system.oversize      | 1 | FAIL  system.oversize: & wanted *buffer to be NULL behind the failure
TABLE

for duty in $(sed -n 's/^{"\([a-z0-9_]*\)".*/\1/p' "$(dirname "$0")/faulty/duties.inc"); do
    [[ " $listed " == *" $duty "* ]] || fail "no line says what finds the broken duty $duty"
done

# What a report tells to run again, as pasted, finds the same.
again=$(M3BSR_FAULT=duty_oversize_kind "${m[@]}" --cases 'system.o*' 2>&1 | sed -n 's/^ *again: //p')
[ -n "$again" ] && ! said=$(M3BSR_FAULT=duty_oversize_kind bash -c "$again" 2>&1) && grep -qF 'FAIL  system.oversize' <<<"$said" ||
    fail "'$again' does not repeat the failure: $said"
# Each check has a name and a sentence, and a pattern chooses.
check 'checks are listed' 0 'system.copy.f32 ' "$M3BSR" conformance --list --layer system --cases 'system.copy.*'
check 'a pattern without a match is an error' 2 'matches no check of the layer system' "${m[@]}" --cases 'system.no*'
exit $((failures > 0))
