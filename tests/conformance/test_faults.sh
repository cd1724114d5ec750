#!/bin/bash
# The suite is worth what it finds: a backend with one planted fault after another (faulty/), each of which a check must
# find and name. Prints which one did. Under sanitizers, which the faults are not about, one in EVERY is planted.
source "$(dirname "$0")/../support/planted.sh"
listed= lines=0 EVERY=8
m=("$M3BSR" conformance --plugin-path "$FAULTY_DIR" --backend faulty)

# fault | cases | exit status | what the report says, in parts between &
while IFS='|' read -r fault cases status says; do
    fault=${fault// /} cases=${cases# } status=${status// /} says=${says# }
    cases=${cases%"${cases##*[! ]}"} # without the blanks behind it
    listed="$listed $fault" lines=$((lines + 1))
    [ -z "$SANITIZE" ] || [ $((lines % EVERY)) = 1 ] || continue
    layer=(--layer ops)
    [[ $cases == random.* ]] && layer=(--layer model --random 8)
    [[ $cases == *.values* ]] && layer=(--layer modules)
    planted "$fault" "$status" "$says" "${layer[@]}" --cases "$cases" --threads 1
done <<'TABLE'
none           | add*                | 0 | pass
segfault          | exp(f32[7])         | 1 | the process was killed by SIGSEGV (Segmentation fault); its last words: faulty: going down
abort             | layer_norm(f32[7];* | 1 | the process was killed by SIGABRT
exit              | sort(f32[7])        | 1 | the process exited with status 0
exit_5            | gather(f32[5];*     | 1 | the process exited with status 5
hang              | matmul(f32[1,1]; f32[1,1]) 0; 0 | 1 | it did not end within BEGIN seconds; its last words: faulty: hanging
hang_any          | copy(f32[])         | 1 | FAIL  copy(f32[]): it did not end within BEGIN seconds
sanitizer      | softmax_cross*      | 1 | a sanitizer reports: SUMMARY: AddressSanitizer: heap-buffer-overflow
load_segfault     | add(f32[7]*         | 3 | could not be opened: the process was killed by SIGSEGV
open_segfault     | add(f32[7]*         | 3 | could not be opened: the process was killed by SIGSEGV
open_exit         | add(f32[7]*         | 3 | could not be opened: the process exited with status 7
open_hang         | add(f32[7]*         | 3 | could not be opened: it did not end within BEGIN seconds
list_segfault     | add(f32[7]*         | 3 | could not be opened: the process was killed by SIGSEGV
list_nothing      | add(f32[7]*         | 2 | there is no device 'faulty'
device_segfault   | add(f32[7]*         | 3 | could not be opened: the process was killed by SIGSEGV
device_fail       | add(f32[7]*         | 3 | it is not there any more
close_segfault    | add(f32[7]*         | 1 | closing the device: the process was killed by SIGSEGV
close_exit        | add(f32[7]*         | 1 | closing the device: the process exited with status 5
free_segfault     | add(f32[7]*         | 1 | the process was killed by SIGSEGV
fail_run       | reduce_sum*         | 1 | FAIL  reduce_sum(
fail_compile      | add(f32[7]*         | 1 | it does not compile
copy_tail         | copy*               | 1 | FAIL  copy( & is nan, wanted
transpose_last    | transpose*          | 1 | FAIL  transpose( & is nan, wanted
add_first         | add(*               | 1 | FAIL  add( & off by 1,
exp_scale         | exp*                | 1 | FAIL  exp( & within
floor_first       | floor*              | 1 | FAIL  floor( & off by 1,
where_zero        | where*              | 1 | FAIL  where( & elements are wrong
equal_first       | equal*              | 1 | FAIL  equal( & off by 1,
cast_float        | add*                | 1 | FAIL  add(i32[
max_nan           | max*                | 1 | FAIL  max( & is 0, wanted nan
exp_infinity      | exp*                | 1 | FAIL  exp( & is 3.40282347e+38, wanted inf
sum_late          | reduce_sum*         | 1 | FAIL  reduce_sum( & out0[100] is
sum_long          | reduce_sum*         | 1 | FAIL  reduce_sum(f32[65537] small) 0; 0: & off by 1,
matmul_long       | matmul*             | 1 | FAIL  matmul(f32[3,65537] small; f32[65537,2] small) & off by 1,
scatter_long      | scatter_add*        | 1 | FAIL  scatter_add(i32[65537] value 0; f32[65537] small) & off by 1,
matmul_tail       | matmul*             | 1 | FAIL  matmul( & is nan, wanted
gather_last       | gather*             | 1 | FAIL  gather( & wanted
scatter_first     | scatter_add*        | 1 | FAIL  scatter_add( & off by 1,
group_rows_output | group_rows*         | 1 | FAIL  group_rows( & out1[0] is nan
sort_output       | sort*               | 1 | FAIL  sort( & out1[0] is 2.14157688e+09, wanted
top_k_output      | top_k*              | 1 | FAIL  top_k( & out0[0] is
philox_first      | philox*             | 1 | FAIL  philox( & off by 1,
philox_part_part  | philox_part*        | 1 | FAIL  philox_part( & elements are wrong
philox_part_parts | philox_part(*       | 1 | FAIL  philox_part(u32[5]) 8; 3; 2: & elements are wrong
uniform_part_part | random_uniform_part* | 1 | FAIL  random_uniform_part( & elements are wrong
normal_part_parts | random_normal_part* | 1 | FAIL  random_normal_part( & elements are wrong
linear_bias       | linear*             | 1 | FAIL  linear( & elements are wrong
linear_grad_bias  | linear_grad_weight* | 1 | FAIL  linear_grad_weight( & out1[0] is
layer_norm_scale  | layer_norm(*        | 1 | FAIL  layer_norm( & elements are wrong
softmax_mask      | masked_softmax*     | 1 | FAIL  masked_softmax( & elements are wrong
attention_scale   | attention(*         | 1 | FAIL  attention( & elements are wrong
attention_grad    | attention_grad*     | 1 | FAIL  attention_grad( & out2[0] is nan
gru_last          | gru_cell(*          | 1 | FAIL  gru_cell( & is nan, wanted
loss_first        | softmax_cross_entropy(* | 1 | FAIL  softmax_cross_entropy( & off by 1,
norm_scale        | global_norm*        | 1 | FAIL  global_norm( & elements are wrong
adamw_output      | adamw(*             | 1 | FAIL  adamw( & out1[0] is nan
dropout_part_part | dropout_part*       | 1 | FAIL  dropout_part( & elements are wrong
dropout_part_parts | dropout_part*      | 1 | FAIL  dropout_part( & elements are wrong
dropout_scale     | dropout*            | 1 | FAIL  dropout( & elements are wrong
write_behind   | relu(*              | 1 | 4 bytes changed that should not, the first 0 bytes behind the end of a result of relu
update_behind  | adamw_rows(*        | 1 | bytes behind the end of a result of adamw_rows
write_far_behind | relu(*            | 1 | the first 1024 bytes behind the end of a result of relu
write_before   | silu*               | 1 | the first 4 bytes before a result of silu
write_far_before | silu*             | 1 | the first 2052 bytes before a result of silu
write_input       | matmul*             | 1 | FAIL  matmul( & the first at byte 0 of in0
read_behind       | reduce_sum*         | 1 | FAIL  reduce_sum( & out0[0] is nan
read_before       | layer_norm(*        | 1 | FAIL  layer_norm( & out0[0] is nan
read_behind_add   | add*                | 1 | FAIL  add( & out0[0] is nan
add_to_output     | scatter_add*        | 1 | FAIL  scatter_add( & is nan, wanted
in_place          | neg*                | 1 | FAIL  neg( & over temporaries, among other ops: out0[0] is
small_buffer      | copy(f32[7])        | 1 | were asked, the buffer has
same_buffer       | copy(f32[7])        | 1 | bytes changed that should not
first_result      | mul*                | 1 | FAIL  mul( & as it is: out0[0] is
last_result       | tanh*               | 1 | FAIL  tanh( & as it is: out0[0] is
count_runs     | sigmoid*            | 1 | the same data gives other bits when it comes again
not_run           | sub*                | 1 | FAIL  sub( & out0[0] is nan
run_late          | copy(f32[7])        | 1 | FAIL  copy( & out0[0] is
upload_offset     | copy(f32[7])        | 1 | nothing ran yet, so it was a copy to or from the device
upload_short      | copy(f32[7])        | 1 | nothing ran yet, so it was a copy to or from the device
upload_late       | copy(f32[7])        | 1 | nothing ran yet, so it was a copy to or from the device
download_offset   | copy(f32[7])        | 1 | FAIL  copy( & out0[0] is
download_short    | copy(f32[7])        | 1 | nothing ran yet, so it was a copy to or from the device
download_nothing  | copy(f32[7])        | 1 | nothing ran yet, so it was a copy to or from the device
segfault_any      | add*                | 1 | error: 25 processes one after another ended in their first case, the last in add( & cases were not run
segfault_any      | *.values*           | 1 | error: 25 processes one after another ended in their first check, the last in expert. & the rest was not run
none              | random.0            | 0 | pass
many_nodes        | linear(*            | 0 | pass
many_nodes        | random.0            | 1 | FAIL  random.0: step 1: & wanted & again: & --layer model --random 8 --case-seed 1 --cases random.0 & --set behaviors=
late_node         | adamw(*             | 0 | pass
late_node         | random.1            | 1 | FAIL  random.1: step 1: adam.m. & after it is 0, wanted
second_shape      | reduce_sum*         | 0 | pass
second_shape      | random.[02]         | 1 | FAIL  random.0: step 1: & FAIL  random.2: step 1:
layer_norm_scale  | random.2            | 1 | FAIL  random.2: step 1: encoded[
gru_last          | random.[0-7]        | 1 | FAIL  random.1: & 6 pass, 2 fail
hang_any          | random.0            | 1 | FAIL  random.0: it did not end within BEGIN seconds
abort             | random.[25]         | 1 | FAIL  random.2: the process was killed by SIGABRT & again: & 2 fail
TABLE

# Ctrl-C ends a suite whose case hangs, with its children, at once; what is known by then is printed.
M3BSR_FAULT=hang "${m[@]}" --layer ops --cases 'matmul(f32[1,1];*' >"$folder/said" 2>&1 &
pid=$!
wait_until $pid grep -q hanging "$folder/said"
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
