#!/bin/bash
# The device option keep=DIR: what every kernel is compiled from lies there, in the form that the backend's README has,
# also when the kernels come from a cache; a folder that cannot be made or written to is an error that names it.
# Parts: opencl vulkan
source "$(dirname "$0")/../support/script.sh"
backend=${1:?usage: test_keep.sh BACKEND}
"$M3BSR" devices 2>/dev/null | grep -q "^$backend:" || { echo "skipped: no $backend device here" && exit 77; }

# run FOLDER: two ops, keeping kernels
run() {
    "$M3BSR" conformance --backend "$backend" --layer ops --cases 'softmax*' --device-option "keep=$1" >"$folder/said" 2>&1
}

# kept_opencl NAME: a whole source, and the options that name its constants
kept_opencl() {
    grep -q '__kernel\|kernel void\|KERNEL' "$1.cl" || fail "$1.cl has no kernel"
    grep -q '^-cl-std=CL1.2 -D' "$1.txt" || fail "$1.txt has no options: $(cat "$1.txt")"
}

# kept_vulkan NAME: SPIR-V, and four lines
kept_vulkan() {
    [ "$(od -An -t x4 -N 4 "$1.spv")" = ' 07230203' ] || fail "$1.spv is no SPIR-V"
    [ -z "$(type -P spirv-val)" ] || spirv-val --target-env vulkan1.1 "$1.spv" || fail "$1.spv is not valid"
    [ "$(wc -l <"$1.txt")" -eq 4 ] || fail "$1.txt has $(wc -l <"$1.txt") lines, not 4"
    sed -n 1p "$1.txt" | grep -qxE '[1-9][0-9]*' || fail "$1.txt: the number of buffers is '$(sed -n 1p "$1.txt")'"
    sed -n 2p "$1.txt" | grep -qxE '[1-9][0-9]*( -?[0-9]+){2,}' || fail "$1.txt: the constants are '$(sed -n 2p "$1.txt")'"
    sed -n 3p "$1.txt" | grep -qx main || fail "$1.txt: the entry is '$(sed -n 3p "$1.txt")'"
    sed -n 4p "$1.txt" | grep -qE '^[a-z_]+\.comp [a-z_]+( [A-Z_]+=-?[0-9]+)*( [a-z0-9_]+)*$' ||
        fail "$1.txt: the name is '$(sed -n 4p "$1.txt")'"
}

code=cl
[ "$backend" = opencl ] || code=spv
for time in first second; do
    run "$folder/$time" || fail "the cases do not pass with keep: $(cat "$folder/said")"
    files=("$folder/$time"/*."$code")
    [ ${#files[@]} -ge 2 ] || fail "there are ${#files[@]} kernels: $(ls "$folder/$time")"
    for file in "${files[@]}"; do "kept_$backend" "${file%."$code"}"; done
done
diff -r "$folder/first" "$folder/second" >"$folder/said" || fail "a second run keeps something else: $(cat "$folder/said")"

# Items of full subgroups exchange values in a module of its own, where a device has such.
if "$M3BSR" devices -v 2>/dev/null | grep -A1 "^$backend:0" | grep -qw exchange; then
    "$M3BSR" conformance --backend "$backend" --layer ops --cases 'softmax_cross_entropy(f32*' --device-option shape=gpu \
        --device-option variant=subgroups --device-option "keep=$folder/exchange" >"$folder/said" 2>&1 ||
        fail "the cases do not pass with subgroups: $(cat "$folder/said")"
    grep -lE '^softmax.comp cross_entropy_subgroups .*SUBGROUP=([2-9]|[1-9][0-9]+)$' "$folder/exchange"/*.txt >"$folder/said" ||
        fail "no kernel exchanges values: $(cat "$folder/exchange"/*.txt)"
    while read -r file; do kept_vulkan "${file%.txt}"; done <"$folder/said"
fi

bench=(bench --backend "$backend" --set width=8)
: >"$folder/file"
check 'a file instead of a folder' 3 "'$folder/file' is no folder" "$M3BSR" "${bench[@]}" --device-option "keep=$folder/file"
check 'a folder that cannot be made' 3 "'$folder/no/where' cannot be made: No such file" \
    "$M3BSR" "${bench[@]}" --device-option "keep=$folder/no/where"
check 'a folder that cannot be written to' 3 'cannot be written: No such file' \
    "$M3BSR" "${bench[@]}" --device-option keep=/proc
[ $failures -eq 0 ]
