#!/bin/bash
# The suite is worth what it finds: a backend with one planted fault after another (faulty/), each of which a check must
# find and name. Prints which one did.
source "$(dirname "$0")/../support/script.sh"
[ -e "$FAULTY_DIR/m3bsr_backend_faulty.so" ] || { echo 'skipped: there is no backend cpu to be wrong with'; exit 77; }
listed=
m=("$M3BSR" conformance --plugin-path "$FAULTY_DIR" --backend faulty)

# fault | cases | exit status | what the report says
while IFS='|' read -r fault cases status says; do
    fault=${fault// /} cases=${cases// /} status=${status// /} says=${says# }
    listed="$listed $fault"
    said=$(M3BSR_FAULT=$fault "${m[@]}" --layer ops --cases "$cases" --timeout 1 --threads 1 2>&1 </dev/null)
    got=$?
    [ "$got" -eq "$status" ] && grep -qF -- "$says" <<<"$said" ||
        fail "$fault: status $got, wanted $((status)) and \"$says\" in:"$'\n'"$(head -c 3000 <<<"$said")"
    printf '%-20s %s\n' "$fault" "$(grep -m 1 -E 'FAIL |^error' <<<"$said" | sed 's/^ *FAIL *//' | cut -c -170)"
done <<'TABLE'
none           | add*                | 0 | pass
segfault       | exp*                | 1 | the process was killed by SIGSEGV (Segmentation fault); its last words: faulty: going down
abort          | layer_norm(*        | 1 | the process was killed by SIGABRT
exit           | sort*               | 1 | the process exited with status 0
exit_5         | gather*             | 1 | the process exited with status 5
hang           | matmul(f32[1,1]*    | 1 | it did not end within 5 seconds; its last words: faulty: hanging
sanitizer      | softmax_cross*      | 1 | a sanitizer reports: SUMMARY: AddressSanitizer: heap-buffer-overflow
load_segfault  | add*                | 3 | could not be opened: the process was killed by SIGSEGV
open_segfault  | add*                | 3 | could not be opened: the process was killed by SIGSEGV
open_exit      | add*                | 3 | could not be opened: the process exited with status 7
open_hang      | add*                | 3 | could not be opened: it did not end within 5 seconds
list_segfault  | add*                | 3 | could not be opened: the process was killed by SIGSEGV
list_nothing   | add*                | 2 | there is no device 'faulty'
device_segfault| add*                | 3 | could not be opened: the process was killed by SIGSEGV
device_fail    | add*                | 3 | it is not there any more
close_segfault | add*                | 1 | closing the device: the process was killed by SIGSEGV
close_exit     | add*                | 1 | closing the device: the process exited with status 5
free_segfault  | add*                | 1 | the process was killed by SIGSEGV
fail_run       | reduce_sum*         | 1 | FAIL  reduce_sum(
fail_compile   | add*                | 1 | it does not compile
TABLE

# Ctrl-C ends a suite whose case hangs, with its children, at once; what is known by then is printed.
M3BSR_FAULT=hang "${m[@]}" --layer ops --cases 'matmul*' >"$folder/said" 2>&1 &
pid=$!
for _ in $(seq 200); do grep -q hanging "$folder/said" && break || sleep 0.05; done
children=$(pgrep -P $pid)
kill -INT $pid
wait $pid
status=$?
[ $status = 130 ] || fail "an interrupted suite ends with status $status: $(cat "$folder/said")"
[ -n "$children" ] || fail "the hanging case has no process of its own"
for child in $children; do [ ! -d "/proc/$child" ] || fail "a child outlives an interrupted suite"; done

for fault in $(sed -n 's/^{"\([a-z0-9_]*\)".*/\1/p' "$(dirname "$0")/faulty/faults.inc"); do
    [[ " $listed " == *" $fault "* ]] || fail "no line says what finds the fault $fault"
done
exit $((failures > 0))
