#!/bin/bash
# m3bsr ops: every op is in the list and in the page, with all of its parts; tests/unit/test_op_names.c compares what is
# said with the ops' tables.
source "$(dirname "$0")/../support/script.sh"
m=$M3BSR

"$m" ops >"$folder/list" || fail 'the list'
"$m" ops --markdown >"$folder/page" || fail 'the page'
files=$(find "$SOURCE_DIR/core/ops" -maxdepth 1 -name '*.c' | wc -l)
[ "$(wc -l <"$folder/list")" -eq "$files" ] || fail "the list has not one line for each of the $files files of core/ops"
[ "$(grep -c '^## ' "$folder/page")" -eq "$files" ] || fail "the page has not one section for each of the $files ops"
for file in "$SOURCE_DIR"/core/ops/*.c; do
    op=$(basename "$file" .c)
    grep -qE "^$op +(core|fused) +[A-Z]" "$folder/list" || fail "$op is not in the list"
    grep -qx "## $op" "$folder/page" || fail "$op is not in the page"
done
[ "$(grep -cE '^(Shapes|Formula|Gradient):$' "$folder/page")" -eq $((3 * files)) ] || fail 'a part is missing in the page'
check 'one op' 0 'bias (optional), residual (optional), gate (optional)' "$m" ops linear
check 'an op with any number of inputs' 0 'inputs      x, ...' "$m" ops concat
check 'an op without inputs' 0 'inputs      none' "$m" ops iota
check 'an unknown op' 2 "there is no built-in op 'magic'" "$m" ops magic
check 'as JSON' 0 '"any_number": false' "$m" ops linear --json
[ "$failures" -eq 0 ]
