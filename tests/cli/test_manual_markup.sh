#!/bin/bash
# The installed manual pages show no raw markup: each is rendered as a reader sees it, and no *word*, _word_ or backslash
# of scdoc is left over (headings, for instance, know no markup).
set -u
command -v scdoc >/dev/null && command -v groff >/dev/null || { echo 'skipped: no scdoc or groff'; exit 77; }
failed=0

render() {
    groff -man -Tutf8 -P-cbou -rLL=200n 2>&1
}

# Prints what looks like markup. A backslash at the end of a line goes on in the next, as shells have it.
leftovers() {
    grep -nE '\*[A-Za-z-][A-Za-z0-9-]*\*|(^|[^A-Za-z0-9_])_[A-Za-z~*][A-Za-z0-9|@,. -]*_([^A-Za-z0-9_]|$)|\\.|^\.[A-Z]{1,2} '
}

pages=0
for page in "$BUILD_DIR"/man/*.[1-9]; do
    pages=$((pages + 1))
    text=$(render <"$page")
    [ "$(wc -l <<<"$text")" -gt 10 ] || { echo "FAILED: $page renders to nothing"; failed=1; }
    found=$(leftovers <<<"$text") && { echo "FAILED: raw markup in $page:"; echo "$found"; failed=1; }
done
[ "$pages" -ge 4 ] || { echo "FAILED: $pages pages in $BUILD_DIR/man"; failed=1; }

# Rows: a line of a page, "ok" or what is left over of it.
while IFS='|' read -r line wanted; do
    found=$(printf 'x(1)\n\n# NAME\n\nx - y\n\n%s\n' "$line" | scdoc | render | leftovers)
    case "$wanted" in
    ok) [ -z "$found" ] && continue ;;
    *) case "$found" in *"$wanted"*) continue ;; esac ;;
    esac
    echo "FAILED: '$line' should give '$wanted', gave '$found'"
    failed=1
done <<'ROWS'
A *word* and _another_ in text.|ok
The key *weight\_decay* and the file _NAME_.npy, a pattern \*.item.|ok
## *train* CONFIG|*train*
## train _CONFIG_ --out|_CONFIG_
A literal \\\_name.|\_
ROWS
exit $failed
