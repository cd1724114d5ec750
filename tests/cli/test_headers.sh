#!/bin/bash
# Every public header compiles alone, as C17 and as C++.
set -u
failed=0
for header in "$SOURCE_DIR"/include/m3bsr/*.h; do
    name=m3bsr/$(basename "$header")
    for language in "c -std=c17" "c++ -std=c++17"; do
        # Without a C++ compiler there is nothing to ask; clang, which tools/setup installs, has one.
        compiler=$CC
        case "$language" in c++*) compiler=$(command -v clang++ || command -v g++) || continue ;; esac
        # shellcheck disable=SC2086 # two words
        if ! printf '#include "%s"\n' "$name" | "$compiler" -x $language -D_GNU_SOURCE -Wall -Wextra -Wpedantic -Werror \
            -I"$SOURCE_DIR/include" -fsyntax-only -; then
            echo "FAILED: $name as $language"
            failed=1
        fi
    done
done
exit $failed
