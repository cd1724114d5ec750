#!/bin/bash
# The promise of the plugin interface (include/ABI-CHANGELOG.md): what plugins were compiled with stays as it is. The
# headers are compared with the kept description, plugin.abi. A member may be appended to a struct that begins with its
# size, and there may be new enumerators, types and functions; anything else breaks plugins that are out there. The same
# comparison is tried with headers that are changed on purpose.
# Labels: release
source "$(dirname "$0")/../support/script.sh"
here=$SOURCE_DIR/tests/abi
for tool in abidw abidiff gcc; do
    command -v $tool >/dev/null || { echo "skipped: there is no $tool; the Debian package abigail-tools has abidiff"; exit 77; }
done
[ "$(uname -m)" = x86_64 ] || { echo 'skipped: the description is of x86-64'; exit 77; }

# The last line of abidiff's report that is no promise kept: a struct's own line, its size, members behind its last one.
breaks() { # KEPT REPORT
    awk '
    NR == FNR { # of each struct: does it begin with its size, and where does its last member lie?
        if (/<class-decl /) { match($0, /name=.[^ ]*/); struct = substr($0, RSTART + 6, RLENGTH - 7); members = 0 }
        if (/<data-member /) { match($0, /bits=.[0-9]*/); last[struct] = substr($0, RSTART + 6, RLENGTH - 6) + 0 }
        if (/<var-decl / && members++ == 0) sized[struct] = /name=.size/
        next
    }
    /^ *$/ || /changes summary|summary: / { next }
    /^.struct .* changed:$/ { struct = $2; sub(/\047$/, "", struct); next }
    /^  type size (changed from|has)/ { next }
    /^  [0-9]+ data member insertions?:$/ { next }
    /^    .*, at offset [0-9]+ \(in bits\)/ {
        match($0, /at offset [0-9]+/)
        if (sized[struct] && substr($0, RSTART + 10, RLENGTH - 10) + 0 > last[struct]) next
    }
    { print (struct != "" ? struct ": " : "") $0; broken = 1 }
    END { exit !broken }' "$@"
}

# compare INCLUDE: 0 when the headers keep what is promised; else what they break, on stdout
compare() {
    "$here/describe" "$1" >"$folder/now.abi" 2>"$folder/why" || { echo 'it cannot be described:'; cat "$folder/why"; return 1; }
    abidiff --leaf-changes-only --no-added-syms "$here/plugin.abi" "$folder/now.abi" >"$folder/report"
    local status=$?
    [ $((status & 3)) = 0 ] || { echo "abidiff failed with status $status:"; cat "$folder/report"; return 1; }
    [ $status = 0 ] || ! breaks "$here/plugin.abi" "$folder/report"
}

compare "$SOURCE_DIR/include" ||
    fail 'the headers break the promise; a new major version, or take it back (CONTRIBUTING.md, Change the plugin interface)'

# try NAME WANTED HEADER SED...: a header that is changed; WANTED is a piece of the complaint, or '' for none
try() {
    local name=$1 wanted=$2 header=$3 said
    shift 3
    rm -rf "$folder/include" && cp -r "$SOURCE_DIR/include" "$folder/include"
    sed -i "$@" "$folder/include/m3bsr/$header"
    ! cmp -s "$SOURCE_DIR/include/m3bsr/$header" "$folder/include/m3bsr/$header" || fail "$name: nothing was changed"
    said=$(compare "$folder/include")
    case $?$wanted in
    0) ;;
    0*) fail "$name: no complaint" ;;
    *) [ -n "$wanted" ] && grep -qF -- "$wanted" <<<"$said" || fail "$name: complains"$'\n'"$said" ;;
    esac
}

last='s/^    m3_span options;$/& void (*one_more)(void);/'
try 'a function at the end of a table' '' backend.h "$last"
try 'a member behind the last one, within the padding' '' backend.h 's/bool coherent; .*/bool coherent, one_more;/'
try 'a value of an enum and a flag at its end' '' op.h -e 's/M3_OP_MULTI_TENSOR = 1u << 7/M3_OP_ONE_MORE = 1u << 8, &/' \
    -e 's/M3_EPILOGUE_GATE = 17/&, M3_EPILOGUE_ONE_MORE = 18/'
try 'a removed member' "data member deletion" backend.h '/(\*close)(m3_backend/d'
try 'two members that change places' 'offset changed' backend.h \
    -e 's/uint32_t offset_alignment;/uint32_t map_alignment;/;t' -e 's/uint32_t map_alignment; /uint32_t offset_alignment; /'
try 'another type of the same size' "m3_device_limits::largest_buffer" backend.h 's/uint64_t largest_buffer;/int64_t largest_buffer;/'
try 'another parameter beside an appended member' 'm3_backend_api::wait' backend.h -e "$last" \
    -e 's/(\*wait)(m3_device_impl \*device, uint64_t/(*wait)(m3_device_impl *device, uint32_t/'
try 'a member before the last one' "offset changed" plugin.h 's/^    uint32_t threads; /const char *one_more; &/'
try 'a member in a hole' 'one_more' backend.h 's/^    const char \*name;$/uint32_t one_more; &/'
try 'a member of a struct without a size' 'm3_span' base.h 's/^    const void \*data;$/& int one_more;/'
try 'another value of an enum' 'M3_DEVICE_CPU' backend.h 's/M3_DEVICE_CPU = 2/M3_DEVICE_CPU = 7/'
try 'a removed value of an enum' 'M3_ERR_IO' base.h 's/M3_ERR_IO = 8,.*//'
try 'another bit of a flag' 'M3_OP_SLICE' op.h 's/M3_OP_SLICE = 1u << 5/M3_OP_SLICE = 1u << 9/'
try 'another limit' 'm3_shape::dim' tensor.h 's/M3_MAX_RANK = 6/M3_MAX_RANK = 8/'
[ "$failures" -eq 0 ]
