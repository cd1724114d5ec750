#!/bin/bash
# Data that do not fit into the memory that an import may take: the same set and the same words, nothing left behind
# when it is stopped or killed, and an error with the file's name when the temporary file cannot grow.
source "$(dirname "$0")/../support/script.sh"
m=$M3BSR
cd "$folder" || exit 1
mkdir out
awk 'BEGIN { OFS = "\t"; print "user_id", "item_id", "behavior", "timestamp"
    for (n = 0; n < 150000; n++) {
        if (n % 9973 == 5) print "broken", n
        print "u" (n * 7919) % 997, "i" (n * n) % 1499, n % 9 ? "view" : "buy", (n * 31) % 70001
        if (n % 1000 == 3) print "u1", "i1", "buy", 7 } }' >many.tsv
import=("$m" data import many.tsv --out out/set)
"${import[@]}" >printed 2>said || fail "an import: $(cat said)"
mv out/set set
for how in '--memory 2M --threads 1' '--memory 2M --threads 2' '--memory 3M --threads 4' '--threads 3'; do
    # shellcheck disable=SC2086 # words
    "${import[@]}" $how >printed.again 2>said.again || fail "$how: $(cat said.again)"
    cmp out/set set || fail "$how: another set"
    cmp printed printed.again && cmp said said.again || fail "$how: it says something else"
done
gzip -k many.tsv
check 'compressed' 0 'events of' "$m" data import many.tsv.gz --out out/set --memory 2M --threads 2
cmp out/set set || fail 'compressed: another set'

# Append in little memory is append.
printf 'user_id\titem_id\tbehavior\ttimestamp\nu1\ti1\tbuy\t7\nnew\ti1\tbuy\t8\n' >later.tsv
"$m" data append set later.tsv --out appended -q >/dev/null || fail 'append'
check 'append in little memory' 0 'added to set: 1 events, 1 users, 0 items' "$m" data append set later.tsv --out out/set --memory 2M
cmp out/set appended || fail 'append in little memory: another set'

# Nothing is left of what is stopped or killed at any moment, neither beside the set nor in its place.
rm -f out/set
for wait in 0.02 0.05 0.1 0.2 0.4; do
    for signal in INT KILL; do
        "${import[@]}" --memory 2M -q >/dev/null 2>&1 &
        sleep $wait
        kill -$signal $! 2>/dev/null
        wait $! 2>/dev/null
        [ $? = 0 ] && rm -f out/set
    done
done
"${import[@]}" --memory 2M -q >/dev/null || fail 'after those that were killed'
[ "$(ls -A out)" = set ] || fail "left behind: $(ls -A out)"

# By default half of what the process may have. A sanitizer takes more addresses than any limit.
if [ -z "$SANITIZE" ]; then
    limited() { (ulimit -v 131072 && exec "$@"); }
    check 'a process with a limit' 0 'events of' limited "${import[@]}" --threads 1
    cmp out/set set || fail 'a process with a limit: another set'
fi

# A file that may not grow.
limited() { (ulimit -f 1024 && exec "$@"); }
check 'no room for the temporary file' 3 'out/set: needs a temporary file in its folder, which could not be written: File too large' \
    limited "${import[@]}" --memory 2M -q
[ "$(ls -A out)" = set ] && cmp out/set set || fail 'no room: the old set is not as it was'

check 'too little memory' 3 'memory: 0 MiB are too little' "${import[@]}" --memory 100K -q
check 'no size' 2 "--memory cannot be '2X'; give bytes, or a number with K, M, G or T" "${import[@]}" --memory 2X
check 'a negative size' 2 "--memory cannot be '-1'" "${import[@]}" --memory -1
exit $((failures > 0))
