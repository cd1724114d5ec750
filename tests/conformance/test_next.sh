#!/bin/bash
# m3bsr conformance --next: what a backend lacks, in order of benefit. The cpu refuses what its option names.
source "$(dirname "$0")/../support/script.sh"
[ -e "$PLUGIN_DIR/m3bsr_backend_cpu.so" ] || { echo 'skipped: there is no backend cpu'; exit 77; }
next=("$M3BSR" conformance --plugin-path "$PLUGIN_DIR" --backend cpu --threads 1 --next)

check 'nothing lacks' 0 'cpu:0 itself runs every op of a training step' "${next[@]}"
check 'an op that runs in pieces' 0 'here, in pieces, which cost' "${next[@]}" --device-option refuse=layer_norm
check 'an op whose pieces are refused too' 0 'elsewhere, for want of matmul' "${next[@]}" --device-option refuse=linear+matmul
check 'what every device must run' 0 'copy                              1   0.00%  elsewhere: states and outputs that another' \
    "${next[@]}" --device-option refuse=copy+gather
check 'the same, when a step is compiled' 3 'states and outputs lie on the chosen device, which therefore has to run copy of' \
    "$M3BSR" graph -q --plugin-path "$PLUGIN_DIR" --backend cpu --device-option refuse=copy+adamw+mul
check 'an op without pieces' 0 "elsewhere: refused by the option refuse=gather" "${next[@]}" --device-option refuse=gather
check 'the most beneficial come last, in a line' 0 'most useful next: linear (' "${next[@]}" --device-option refuse=gather+linear+matmul
check 'of a configuration' 0 'scan ' "${next[@]}" --device-option refuse=scan <(printf 'expert: mingru\n')
check 'a configuration that is wrong' 2 'widht' "${next[@]}" <(printf 'widht: 8\n')
check 'a device that is not there' 2 "there is no device 'nowhere'" "${next[@]}" --backend nowhere
check 'JSON' 0 '"missing": "matmul"' "${next[@]}" --device-option refuse=linear+matmul --json

# What leaves the device stands first, by its work; then what runs in pieces.
refuse=(--device-option refuse=layer_norm+adamw+gather+linear+matmul+dropout+random_uniform)
"${next[@]}" "${refuse[@]}" >"$folder/children" 2>&1 || fail "it is no check"
"${next[@]}" "${refuse[@]}" --in-process >"$folder/here" 2>&1 || fail "in one process"
cmp "$folder/children" "$folder/here" || fail 'a child and one process say the same'
awk 'NR > 1 && !/^next/ { away = / elsewhere/; share = $3 + 0
                          if (away && (pieces || (NR > 2 && share > last))) exit 1
                          pieces = pieces || !away; last = share; rows++ }
     END { exit !(rows >= 4 && pieces) }' "$folder/children" || fail "the order of"$'\n'"$(cat "$folder/children")"

[ "$failures" -eq 0 ]
