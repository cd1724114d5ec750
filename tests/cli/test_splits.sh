#!/bin/bash
# Splits from the outside: what import is told is kept in the set, and training, evaluation and recommendation follow it.
source "$(dirname "$0")/../support/script.sh"
export XDG_CACHE_HOME=$folder/cache

cd "$folder" || exit 1
m=$M3BSR
"$m" data synth --out source --users 60 --items 40 --clusters 4 --width 4 -q >/dev/null || fail 'no source'
printf '%s\n' 'width: 8' 'heads: 2' 'expert_layers: 1' 'length: 6' 'batch: 64' 'epochs: 1' 'infer_start: 3' \
    'diffusion_steps: 8' >config.yaml
train() { "$m" train config.yaml --set data="$1" --out "$2" -q; }
samples() { "$m" evaluate "$1" --json -q --split "$2" 2>/dev/null | sed -E 's/.*"samples": ([0-9]+), "itemknn.*/\1/'; }

# One point in time for all: the middle and the last sixth of the buys.
points=$(awk -F'\t' '$3 == "buy" { print $4 }' source/interactions.tsv | sort -n | awk '{ t[NR] = $1 } END { print t[int(NR * 2 / 3)] "," t[int(NR * 5 / 6)] }')
day() { date -u -d "@$1" "+%Y-%m-%d${2- }%H:%M:%S"; }
valid=${points%,*} test=${points#*,}
check 'points in time' 0 "split       validation from $valid ($(day "$valid")) on, test from $test ($(day "$test")) on" \
    "$m" data import source --out at --split-at "$points"
check 'points in time as dates' 0 "before $(day "$valid") train, " \
    "$m" data import source --out dates --split-at "$(day "$valid" T)Z,$(day "$test" T)+00:00"
cmp at dates || fail 'dates make another split'
train at by-time >/dev/null 2>said || fail "training on points in time: $(cat said)"
wanted() { awk -F'\t' -v from="$1" -v to="$2" '$3 == "buy" && $4 >= from && $4 < to' source/interactions.tsv |
    awk -F'\t' '!seen[$1, $2]++' | wc -l; }
had=$(samples by-time test)
[ "$had" -gt 0 ] && [ "$had" -le "$(wanted "$test" 99999999999)" ] || fail "test has $had samples of points in time"
had=$(samples by-time valid)
[ "$had" -gt 0 ] && [ "$had" -le "$(wanted "$valid" "$test")" ] || fail "validation has $had samples of points in time"
check 'one point in time' 0 "split       test from $test ($(day "$test")) on, no validation" \
    "$m" data import source --out one --split-at "$test"
check 'nothing to validate' 0 "warning: the set's split has no validation, so nothing is validated" \
    "$m" train config.yaml --set data=one --out one-run
check 'no sample there' 0 "no sample: no target event is in that part of the set's split" "$m" evaluate one --baselines --split valid
check 'a point that no event is behind' 2 "error: split_at: no 'buy' is at 5138-11-16 09:46:39 or later, so there is nothing to test with; timestamps go from 20" \
    "$m" data import source --out none --split-at "$valid,99999999999"
check 'no point' 2 "error: split_at: 'soon' is no time; give one or two as the timestamps are written" \
    "$m" data import source --out none --split-at soon
check 'two ways at once' 2 'error: last: and split_at are two ways to split; give one of them' \
    "$m" data import source --out none --split-at 5 --last 2

# A later day: the points stay, unless they are moved.
printf 'user_id\titem_id\tbehavior\ttimestamp\nu1\ti1\tbuy\t1900000000\nu2\ti2\tbuy\t1900000001\n' >day.tsv
check 'the points stay' 0 "split       validation from $valid" "$m" data append at day.tsv --out later
check 'points that are moved' 0 'split       validation from 1900000000' "$m" data append at day.tsv --out later \
    --split-at 1900000000,1900000001
check 'another kind of split' 0 "split       a user's last 3 targets are test" "$m" data append at day.tsv --out later --last 3

# The last two: twice as many samples, where users have enough.
"$m" data import source --out plain -q >/dev/null
check 'the last two' 0 "split       a user's last 2 targets are test, the 2 before them validation" \
    "$m" data import source --out two --last 2
train plain plain-run && train two two-run || fail 'training on the last ones'
one=$(samples plain-run test) two=$(samples two-run test)
[ "$two" -gt "$one" ] && [ "$two" -le $((2 * one)) ] || fail "the last two are $two samples, the last one $one"
[ "$(tail -n +2 <("$m" evaluate two-run --ks 5 --lists two.tsv -q >/dev/null && cut -f1,6 two.tsv) | sort -u | cut -f1 | sort | uniq -c | awk '{ print $1 }' | sort -u)" = 2 ] ||
    fail 'lists do not have two samples a user'

# Files that are split already, as people and as RecBole name them, in the order of their rows and by time.
mkdir given recbole leak
awk -F'\t' -v valid="$valid" -v test="$test" 'NR == 1 { head = $0; next }
    { part = $4 < valid ? "train" : $4 < test ? "valid" : "test" }
    !(part in seen) { seen[part] = 1; print head > ("given/" part ".tsv") }
    { print > ("given/" part ".tsv") }' source/interactions.tsv
check 'files train, valid and test' 0 'split       given by the source' "$m" data import given --out files
train files files-run || fail 'training on given files'
[ "$(samples files-run test) $(samples files-run valid)" = "$(samples by-time test) $(samples by-time valid)" ] ||
    fail 'given files have other samples than the points in time that they were made by'
for part in train valid test; do cp given/$part.tsv "recbole/ml.$part.inter"; done
check 'files as RecBole has them' 0 'held out for test: recbole/ml.test.inter' "$m" data import recbole --out recbole-set
cmp files recbole-set || fail 'files of other names make another set'
check 'files by options' 0 'split       given by the source' "$m" data import given/train.tsv --valid given/valid.tsv \
    --test given/test.tsv --out options
cmp files options || fail 'files by options make another set'
for part in train valid test; do tail -n +2 given/$part.tsv | sed "s/\$/\t$part/"; done |
    { printf 'user_id\titem_id\tbehavior\ttimestamp\tpart\n'; cat; } >column.tsv
check 'a column' 0 'split       given by the source' "$m" data import column.tsv --split-column part --out column
cmp files column || fail 'a column makes another set'
cp given/*.tsv leak
sed 1d given/valid.tsv | sort -n -k4 | head -1 >>leak/train.tsv
check 'what is in two files stays in the first' 0 'is already in a file before it' "$m" data import leak --out twice --no-features
sed -i "1!s/\t1[0-9]*\$/\t1999999999/" leak/train.tsv
check 'training behind what is held out' 2 "train has an event at 2033-05-18 03:33:19, of a user who has one of " \
    "$m" data import leak --out none --no-features
check 'two splits at once' 2 'error: last: is one way to split, and the source is split already; leave it out' \
    "$m" data import given --out none --last 2
# What is added to a given split says what is held out of it, or which rule splits all.
mkdir nextday
for part in train valid test; do
    printf 'user_id\titem_id\tbehavior\ttimestamp\n'
    case $part in train) t=1800000000 ;; valid) t=1800000001 ;; *) t=1800000002 ;; esac
    for u in $(seq 5); do printf 'u%d\tz%d\tbuy\t%d\n' "$u" $((u % 3)) $t; done
done | awk -v n=0 '/^user_id/ { n++ } { print > ("nextday/" (n == 1 ? "train" : n == 2 ? "valid" : "test") ".tsv") }'
check 'what is added to a given split says how' 2 'has a given split, and what of the new is held out would be a guess' \
    "$m" data append files nextday/train.tsv --out none
check 'by files of its own' 0 'split: what files held out is trained on from now on' "$m" data append files nextday --out later.set
check 'and holds out its own' 0 ', 5 validate, 5 test' "$m" data append files nextday --out later.set
check 'or to any other set' 0 ', 5 validate, 5 test' "$m" data append at nextday --out other.set
check 'or by a rule' 0 "split       a user's last target is test, the one before it validation" \
    "$m" data append files nextday/train.tsv --out ruled.set --last 1

# Repeats: 'a' again and again, which is what can be predicted, and what is recommended.
for u in $(seq 12); do
    for t in $(seq 8); do printf 'u%d\t%s\t%d\n' "$u" "$([ $((t % 2)) = 0 ] && echo a || echo "i$(((u + t) % 9))")" "$t"; done
done | { printf 'user_id\titem_id\ttimestamp\n'; cat; } >again.tsv
check 'repeats are kept' 0 '; repeats are targets too' "$m" data import again.tsv --out again --repeats keep
train again again-run || fail 'training on repeats'
"$m" evaluate again-run --ks 3 --lists again.csv -q --top 40 >/dev/null
grep -q '^u1,[0-9]*,a,[^,]*,1,' again.csv || fail "a repeat is no target: $(head -5 again.csv)"
[ "$(grep -c '^u1,' again.csv)" = 10 ] || fail 'repeats are not ranked among all items'
[ "$("$m" evaluate again-run -q | grep -cx 'Full ranking: among all items')" = 1 ] || fail 'evaluation does not say that all items are candidates'
[ "$("$m" recommend again-run --users u1 --top 40 -q | tail -n +2 | wc -l)" = 10 ] || fail 'recommend leaves out what can be had again'
[ "$("$m" recommend again-run --users u1 --top 40 -q --exclude target | tail -n +2 | cut -f3 | grep -cx a)" = 0 ] ||
    fail 'recommend leaves nothing out'
check 'repeats of another kind' 2 "error: --repeats cannot be 'yes'; give drop or keep" "$m" data import again.tsv --out none --repeats yes
"$m" data describe two --json | grep -qF '"split": {"by": "last", "last": 2, "repeats": false}' || fail 'describe --json of the last two'
"$m" data describe at --json | grep -qF "\"split\": {\"by\": \"time\", \"valid_from\": $valid, \"test_from\": $test, \"repeats\": false}" ||
    fail 'describe --json of points in time'
[ "$failures" -eq 0 ]
