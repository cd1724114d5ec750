#!/bin/bash
# graph --kernels: every dispatch of a run is one of a kernel's, figures are there or the line says what is missing, the
# same as JSON, and a backend that says nothing of its kernels is an error behind the rest of the graph.
# Parts: cpu opencl vulkan
source "$(dirname "$0")/../support/script.sh"
backend=${1:?usage: test_kernels.sh BACKEND}
"$M3BSR" devices 2>/dev/null | grep -q "^$backend:" || { echo "skipped: no $backend device here" && exit 77; }
small=(--set width=8 --set heads=1 --set items=40 --set expert=pool --set length=5 --set batch=4 --what infer)

"$M3BSR" graph --backend "$backend" "${small[@]}" --kernels >"$folder/said" 2>"$folder/why" || fail "graph --kernels: $(cat "$folder/why")"
sed -n '/^kernels, /,$p' "$folder/said" >"$folder/kernels"
[ -s "$folder/kernels" ] || fail "there are no kernels: $(cat "$folder/said")"
kernels=$(grep -c "^$backend:0: " "$folder/kernels")
[ "$kernels" -ge 5 ] || fail "there are $kernels kernels: $(cat "$folder/kernels")"
[ "$(grep "^$backend:0: " "$folder/kernels" | sort -u | wc -l)" -eq "$kernels" ] || fail "kernels of one name: $(cat "$folder/kernels")"

# on cpu a node is a dispatch; elsewhere the backend counts them
case $backend in
cpu) all=$(sed -n 's/^infer on cpu:0: \([0-9]*\) nodes.*/\1/p' "$folder/said") ;;
*) all=$(sed -n "s/^$backend:0: a run of [0-9]* nodes: \([0-9]*\) .*/\1/p" "$folder/said") ;;
esac
of_kernels=$(awk '/^    [0-9]+ dispatches, / { sum += $1 } END { print sum }' "$folder/kernels")
[ "${all:-none}" = "$of_kernels" ] || fail "a run has ${all:-no} dispatches, its kernels $of_kernels: $(cat "$folder/said")"

case $backend in
cpu) wanted='instruction set: [a-z0-9]+; floats in a vector: [0-9]+; tile of a product: [0-9]+ x [0-9]+; threads: [0-9]+' ;;
opencl) wanted='work-group size, at most: [1-9][0-9]*; work-group size, preferred multiple: .*local memory, bytes: [0-9]+; private memory of an item, bytes: [0-9]+; binary of the program, bytes: [1-9]' ;;
vulkan) wanted='[A-Za-z]+: -?[0-9.]+|\(the driver has no VK_KHR_pipeline_executable_properties\)' ;;
esac
[ "$(grep -cE "^    ($wanted)" "$folder/kernels")" -eq "$kernels" ] || fail "not every kernel has its figures: $(cat "$folder/kernels")"

"$M3BSR" graph --backend "$backend" "${small[@]}" --kernels --json >"$folder/json" || fail 'graph --kernels --json failed'
[ "$(grep -oE '"dispatches": [0-9]+, "nodes": [0-9]+, "flops": [0-9]+, "bytes": [0-9]+, "figures": \{' "$folder/json" | wc -l)" -eq "$kernels" ] ||
    fail "as JSON there are other kernels: $(cat "$folder/json")"

check 'a backend that says nothing' 3 'reference:0: this backend says nothing of its kernels' \
    "$M3BSR" graph --backend reference "${small[@]}" --kernels
check 'and the rest before it' 3 'memory traffic of a run' "$M3BSR" graph --backend reference "${small[@]}" --kernels
[ $failures -eq 0 ]
