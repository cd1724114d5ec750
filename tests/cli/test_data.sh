#!/bin/bash
# m3bsr data from the outside: exit statuses, results on stdout, messages on stderr, JSON that parses.
# Labels: errors
source "$(dirname "$0")/../support/script.sh"

data="$M3BSR data"
source=$folder/source
check 'synth writes a source' 0 'the planted truth is in' \
    $data synth --out "$source" --users 50 --items 60 --clusters 3 --modalities 2 --width 4
check 'import prints statistics' 0 'sparsity' $data import "$source" --out "$folder/set"
check 'import says what it guessed' 0 'give --behaviors to order them' $data import "$source" --out "$folder/set"
check 'describe prints coverage' 0 '100.0 %' $data describe "$folder/set"
check 'order and target are options' 0 'target      view' \
    $data import "$source" --out "$folder/set2" --behaviors buy,view --no-features
check 'a k-core that leaves nothing' 2 'no event is left' $data import "$source" --out "$folder/set3" --min-user 1000
check 'a source that is not there' 2 'cannot be opened' $data import "$folder/nowhere" --out "$folder/set3"
check 'a set that is not there' 2 'cannot be opened' $data describe "$folder/nowhere"
check 'a file that is no set' 2 'is no data set' $data describe "$source/items.tsv"
check 'no output' 2 'where to?' $data import "$source"
check 'an unknown option' 2 'unrecognized option' $data import "$source" --outt "$folder/set3"
check 'a number that is none' 2 "--min-user cannot be 'few'" $data import "$source" --out "$folder/set3" --min-user few
check 'no subcommand' 2 'usage:' $data
check 'help' 0 'usage:' $data --help
check 'a folder that is not there' 2 'cannot be written' $data import "$source" --out "$folder/no/set"

printf 'user_id\titem_id\tbehavior\ttimestamp\nu\ta\tview\t1\nu\tb\n' >"$folder/bad.tsv"
check 'a dropped row is named' 0 'bad.tsv:3: has 2 fields' $data import "$folder/bad.tsv" --out "$folder/set3"
check 'strict refuses it' 2 'bad.tsv:3' $data import "$folder/bad.tsv" --out "$folder/set4" --strict
[ ! -e "$folder/set4" ] || { echo 'FAILED: a refused import left a file'; failures=$((failures + 1)); }

printf 'userId,movieId,rating,timestamp\n1,10,4.5,5\n1,11,2,6\n2,10,5,7\n' >"$folder/ratings.csv"
check 'ratings become behaviors' 0 'like' $data import "$folder/ratings.csv" --out "$folder/set5" --user-column userId \
    --item-column movieId --derive 'rate=*' --derive 'like=rating>=4' --behaviors rate,like

next=$folder/next.tsv
printf 'user_id\titem_id\tbehavior\ttimestamp\nu1\ti1\tbuy\t9000000000\nnew\tlate\tview\t9000000001\n' >"$next"
check 'append adds a day' 0 'added to '"$folder/set: 2 events, 1 users, 1 items" \
    $data append "$folder/set" "$next" --out "$folder/set6"
check 'append prints statistics' 0 'users       51' $data describe "$folder/set6"
check 'append to nothing' 2 'which set?' $data append
check 'append to no set' 2 'cannot be opened' $data append "$folder/nowhere" "$next" --out "$folder/set7"
check 'append without output' 2 'where to?' $data append "$folder/set" "$next"
check 'append over the set' 2 'which is read here' $data append "$folder/set" "$next" --out "$folder/set"
check 'append decides no behaviors' 2 'unrecognized option' \
    $data append "$folder/set" "$next" --out "$folder/set7" --behaviors view

# What is not synth's own is not replaced.
check 'synth into its own folder' 0 'the planted truth is in' $data synth --out "$source" --users 50 --items 60 --clusters 3
for name in interactions.tsv text.npy truth/users.tsv notes; do
    rm -rf "$folder/own" && mkdir -p "$folder/own/truth" && echo mine >"$folder/own/$name"
    check "synth beside $name" 2 "$folder/own: holds files that synth did not write; give an empty or a new folder" \
        $data synth --out "$folder/own" --users 50 --items 60 --clusters 3
    [ "$(cd "$folder/own" && find . -type f) $(cat "$folder/own/$name")" = "./$name mine" ] ||
        fail "a synth that was refused wrote: $(find "$folder/own")"
done
rm "$folder/own/notes"
check 'synth into an empty folder' 0 'the planted truth is in' $data synth --out "$folder/own" --users 50 --items 60 --clusters 3
check 'synth into a file' 2 'Not a directory' $data synth --out "$folder/bad.tsv" --users 50 --items 60 --clusters 3

if [ -n "$(command -v python3)" ]; then
    $data describe "$folder/set" --json 2>/dev/null | python3 -c '
import json, sys
d = json.load(sys.stdin)
assert d["users"] == 50 and d["target"] == "buy" and [m["name"] for m in d["modalities"]] == ["image", "text"], d
assert d["import"]["dropped"]["fields"] == 0 and sum(b["events"] for b in d["behaviors"]) == d["events"], d
' || { echo 'FAILED: describe --json'; failures=$((failures + 1)); }
fi
[ "$failures" -eq 0 ]
