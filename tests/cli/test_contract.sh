#!/bin/bash
# A dispatch names each constant, buffer and word of its contract once, else it does not compile. And what the contract
# lists is there: a kernel in OpenCL C for each entry that says so, and none beside; those of GLSL the build compiles.
set -u
failed=0

compiles() { # arguments of LOWER
    "$CC" -x c -std=c17 -D_GNU_SOURCE -Wall -Wextra -I"$SOURCE_DIR" -I"$SOURCE_DIR/include" -fsyntax-only - 2>&1 <<C
#include "backends/lowering/contract.h"
lower_dispatch *written(lower_list *l, lower_view v);
lower_dispatch *written(lower_list *l, lower_view v)
{
    return LOWER(l, gru_cell, $1);
}
C
}

# Rows: what is written, "ok" or a piece of what the compiler says (gcc's or clang's).
while IFS="|" read -r written says; do
    out=$(compiles "$written")
    status=$?
    if [ "$says" = ok ]; then
        [ $status = 0 ] && continue
    elif [ $status != 0 ] && grep -qE "$says" <<<"$out"; then
        continue
    fi
    echo "FAILED: '$written' should be '$says', got $status '$out'"
    failed=1
done <<'ROWS'
.VECTOR = 1, .xi = v, .hh = v, .h = v, .mask = v, .y = v, .count = 1, .piece = 1, .width = 1|ok
.width = 1, .piece = 1, .count = 1, .y = v, .mask = v, .h = v, .hh = v, .xi = v, .VECTOR = 1|ok
.VECTOR = 1, .xi = v, .hh = v, .h = v, .mask = v, .y = v, .count = 1, .piece = 1|must be written once
.xi = v, .hh = v, .h = v, .mask = v, .y = v, .count = 1, .piece = 1, .width = 1|must be written once
.VECTOR = 1, .xi = v, .hh = v, .h = v, .y = v, .count = 1, .piece = 1, .width = 1|must be written once
.VECTOR = 1, .xi = v, .hh = v, .h = v, .mask = v, .y = v, .count = 1, .piece = 1, .wide = 1|no member named|does not refer to any field
.VECTOR = 1, .xi = v, .hh = v, .h = v, .mask = v, .y = v, .count = 1, .piece = 1, .piece = 2|overwritten|overrid
.VECTOR = 1, .xi = v, .xi = v, .h = v, .mask = v, .y = v, .count = 1, .piece = 1, .width = 1|overwritten|overrid
v, .VECTOR = 1, .hh = v, .h = v, .mask = v, .y = v, .count = 1, .piece = 1, .width = 1|incompatible
.VECTOR = 1, .xi = 1, .hh = v, .h = v, .mask = v, .y = v, .count = 1, .piece = 1, .width = 1|missing-braces
ROWS

# What is listed for a folder of OpenCL C, and what is written there: source and entry.
listed() {
    grep -hoE "ENTRY\(\w+, \w+, ($1)\)" "$SOURCE_DIR"/shaders/contract/*.h | sed -E 's/ENTRY\((\w+), (\w+), .*/\1 \2/' | sort
}
written() {
    (cd "$SOURCE_DIR/shaders/$1" && grep -oE "^(GROUP_)?KERNEL(_OF)?\(\w+" -- *.cl) | sed -E 's/\.cl:.*\(/ /' | sort -u
}
refuse() { # title, lines that should not be
    [ -z "$2" ] && return
    echo "FAILED: $1:"
    echo "$2"
    failed=1
}
refuse "listed for both, subgroups or opencl, and not in shaders/gpu" "$(comm -23 <(listed 'both|subgroups|opencl') <(written gpu))"
refuse "in shaders/gpu, and not listed" "$(comm -13 <(listed 'both|subgroups|opencl') <(written gpu))"
refuse "listed for processors, and not in shaders/processor" "$(comm -23 <(listed processor) <(written processor))"
refuse "in shaders/processor, and not listed" "$(comm -13 <(listed 'both|subgroups|processor') <(written processor))"
exit $failed
