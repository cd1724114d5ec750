#!/bin/bash
# The library exports what the public headers declare M3_API, and nothing else.
# Labels: release
set -u
failed=0
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# A declaration may break over lines; what a macro or a comment says is none. Plugins have m3_plugin_query, not we.
cat "$SOURCE_DIR"/include/m3bsr/*.h | sed -E '/^ *(#|\/?\*)/d; s/\/\*.*\*\///' | tr '\n' ' ' | grep -oE 'M3_API [^;(]*\(' |
    grep -oE 'm3_[a-z0-9_]+ *\($' | tr -d ' (' | grep -vx m3_plugin_query | LC_ALL=C sort -u >"$folder/declared"
"$NM" -D --defined-only "$BUILD_DIR/lib/libm3bsr.so" | awk '{print $NF}' | LC_ALL=C sort -u >"$folder/exported"

marks=$(grep -hE '^M3_API' "$SOURCE_DIR"/include/m3bsr/*.h | grep -vc m3_plugin_query)
if [ "$marks" = 0 ] || [ "$marks" != "$(wc -l <"$folder/declared")" ]; then
    echo "FAILED: the headers mark $marks functions, $(wc -l <"$folder/declared") names were read"
    failed=1
fi
while read -r name; do
    echo "FAILED: $name is exported and no public header declares it: drop its M3_API, or publish it"
    failed=1
done < <(LC_ALL=C comm -13 "$folder/declared" "$folder/exported")
while read -r name; do
    echo "FAILED: $name is declared in a public header and not exported"
    failed=1
done < <(LC_ALL=C comm -23 "$folder/declared" "$folder/exported")
# Inside the project M3_API says nothing, so it misleads.
if grep -n 'M3_API ' $(find "$SOURCE_DIR/core" -name '*.[ch]') /dev/null | grep -v '"'; then
    echo "FAILED: core marks functions M3_API that are not public"
    failed=1
fi
echo "$(wc -l <"$folder/exported") functions"
exit $failed
