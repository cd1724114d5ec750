#!/bin/bash
# An op's name stands as text in its own file and in the headers that build it (include/m3bsr), and nowhere else in core:
# passes, runtime and model know ops by what they declare. Conformance names what it checks. Three ops have the names of
# other things too: an encoder and a schedule called linear, a router called sigmoid, a configuration key dropout. The op
# chain is what the pass of its name makes, and no other.
set -u
cd "$SOURCE_DIR" || exit 1
failed=0
for file in core/ops/*.c; do # core/ops/common holds none
    op=$(basename "$file" .c)
    others='^core/conformance/'
    makes='^core/ops/'
    [ "$op" = chain ] && others="$others|/(chain|pass)[.]c:" makes="$makes|/chain[.]c:"
    case $op in linear|dropout|sigmoid) others="$others|^core/(model|settings|train)/(?!.*(op->name|emit))" ;; esac
    grep -q "\.name = \"$op\"" "$file" || { echo "FAILED: $file does not define the op $op"; failed=1; }
    found=$(grep -rnF "\"$op\"" core --include='*.[ch]' | grep -vP "^$file:|$others")
    [ -z "$found" ] || { echo "FAILED: the op $op is known by its name:"; echo "$found"; failed=1; }
    found=$(grep -rnwE "m3_op_$op" core --include='*.[ch]' | grep -vE "$makes")
    [ -z "$found" ] || { echo "FAILED: the op $op is known by its table:"; echo "$found"; failed=1; }
done
exit $failed
