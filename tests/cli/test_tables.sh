#!/bin/bash
# Tables, folders and ids as people have them: what is not asked for does no harm, and what is wrong is said by its name.
source "$(dirname "$0")/../support/script.sh"
m=$M3BSR
cd "$folder" || exit 1
import() { # NAME PATTERN OPTIONS...: of stdin as NAME
    local name=$1 pattern=$2
    shift 2
    cat >"$name"
    check "$name $*" 0 "$pattern" "$m" data import "$name" --out x.set -v "$@"
}
refused() { # NAME PATTERN OPTIONS...
    local name=$1 pattern=$2
    shift 2
    cat >"$name"
    check "$name $*" 2 "$pattern" "$m" data import "$name" --out x.set "$@"
}

# Behaviors that are derived: a column without a number fails what asks for it.
rated='user_id,item_id,timestamp,rating
1,a,1,5
1,b,2,
1,c,3,none
1,d,4,4
1,e,5,nan
1,f,6,3'
import rated.csv '8 events of 1 users and 6 items' --derive 'view=*' --derive 'like=rating>=4' --behaviors view,like <<<"$rated"
import rated.csv "rating is 'none', not a number, so it gives no 'like'" --derive 'view=*' --derive 'like=rating>=4' <<<"$rated"
import rated.csv '2 events of 1 users and 2 items' --derive 'like=rating>=4' <<<"$rated"
refused rated.csv "rated.csv:3: rating is ''" --derive 'view=*' --derive 'like=rating>=4' --strict <<<"$rated"
import bools.csv '7 events of 1 users and 4 items' --derive 'view=*' --derive 'buy=bought==1' --behaviors view,buy <<'CSV'
user_id,item_id,timestamp,bought
1,a,1,True
1,b,2,FALSE
1,c,3,yes
1,d,4,1
CSV
import bools.csv '5 events of 1 users and 4 items' --derive 'view=*' --derive 'buy=bought==1' --behaviors view,buy <<'CSV'
user_id,item_id,timestamp,bought
1,a,1,no
1,b,2,truth
1,c,3,0
1,d,4,Yes
CSV

# Headers and rows with more than is asked for.
import empty.csv '3 events of 1 users and 3 items' <<<$'user_id,item_id,timestamp,,\n1,a,1,,\n1,b,2,,\n1,c,3,,'
import equal.csv '3 events of 1 users and 3 items' <<<$'user_id,item_id,timestamp,price,price\n1,a,1,2,2\n1,b,2,2,2\n1,c,3,2,2'
import longer.csv '3 events of 1 users and 3 items' <<<$'user_id,item_id,timestamp\n1,a,1,\n1,b,2,,,\n1,c,3'
import longer.tsv '2 events of 1 users and 2 items' <<<$'user_id\titem_id\ttimestamp\n1\ta\t1\t\n1\tb\t2\n1\tc\t3\tx'
import longer.tsv '1 have a wrong number of fields' <<<$'user_id\titem_id\ttimestamp\n1\ta\t1\t\n1\tb\t2\n1\tc\t3\tx'
refused twice.csv "two columns are named 'item_id'" <<<$'user_id,item_id,timestamp,item_id\n1,a,1,b'
refused rule.csv "two columns are named 'price'" --derive 'buy=price>1' <<<$'user_id,item_id,timestamp,price,price\n1,a,1,2,2'
refused behavior.csv "two columns are named 'behavior'" <<<$'user_id,item_id,timestamp,behavior,behavior\n1,a,1,x,x'

# Quotes that do not pair up stand for themselves, and swallow no line.
quotes='user_id,item_id,timestamp,title
1,a,1,TV 42" black
1,b,2,ok
1,c,3,"quoted ""x"""
1,d,4,"TV 42\" black"
1,e,5,"two
lines"
1,f,6,"never closed
1,g,7,x"y"z
1,h,8,last'
import quotes.csv '7 events of 1 users and 7 items' <<<"$quotes"
import quotes.csv 'the quotes of 3 rows do not pair up; they stand for themselves' <<<"$quotes"
import quotes.csv 'quotes.csv:8: the quotes do not pair up' <<<"$quotes"
refused quotes.csv 'quotes.csv:2: the quotes do not pair up' --strict <<<"$quotes"
printf 'user_id,item_id,timestamp,title\n1,a,1,x\n1,b,2,5" disk' | import end.csv '2 events of 1 users and 2 items'

# Times: digits after the point order events and tell them apart; whole numbers are kept to the last digit.
events() { # NAME COUNT: of x.set
    local got
    got=$("$m" data describe x.set --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["import"]["events"])')
    [ "$got" = "$2" ] || fail "$1: $got events, wanted $2"
}
import normal.csv 'timestamps are kept with 3 digits' <<<$'user_id,item_id,timestamp\n1,c,0.125\n1,b,0.25\n1,a,0.5\n1,d,1'
import repeat.csv '1 repeat an earlier event' <<<$'user_id,item_id,timestamp\n1,a,1577836800.25\n1,a,1577836800.5\n1,a,1577836800.250\n1,b,7'
events 'seconds with fractions' 3
import ns.csv '3 events' <<<$'user_id,item_id,timestamp\n1,a,1577836800123456789\n1,a,1577836800123456788\n1,b,1577836800123456789'
import ends.csv "beyond the largest that can be kept" <<<$'user_id,item_id,timestamp\n1,a,9223372036854775807\n1,a,1e19\n1,b,-5\n1,c,9223372036854775806'
events 'times beyond the range' 2

# Folders.
mkdir source
printf 'user_id\titem_id\ttimestamp\n1\ta\t1\n1\tb\t2\n1\tc\t3\n' >source/interactions.tsv
for file in ._interactions.tsv ._image.npy .hidden.npy ._x.inter .items.tsv; do echo junk >"source/$file"; done
check 'hidden files' 0 '3 events' "$m" data import source --out x.set -v
echo junk >source/scores.npy
check 'a matrix of something else' 2 'say which are with --modalities A,B, or give --no-features' "$m" data import source --out x.set
check 'without it' 0 '3 events' "$m" data import source --out x.set -v --no-features
mv source/interactions.tsv source/ml.inter
check 'one of a kind' 0 '3 events' "$m" data import source --out x.set -v --no-features
cp source/ml.inter source/other.inter
check 'two of a kind' 2 'say which with --interactions' "$m" data import source --out x.set --no-features

# A run, and its users.
"$m" data synth --out made --users 20 --items 15 --clusters 3 --modalities 0 -q >/dev/null || fail 'data'
"$m" data import made --out set -q >/dev/null || fail 'import'
printf 'data: set\nwidth: 8\nlength: 5\nbatch: 16\nepochs: 1\ndiffusion_steps: 4\ninfer_start: 1\n' >config.yaml
train=("$m" train config.yaml --backend cpu --threads 1 -q --out run)
check 'a training' 0 '' "${train[@]}"
first=$(sed -n 2p made/interactions.tsv | cut -f1) second=$(sed -n '$p' made/interactions.tsv | cut -f1)
recommend=("$m" recommend run --backend cpu --top 1)
users() { # NAME WANTED ARGUMENTS...: the users served, in a line
    local name=$1 wanted=$2 got
    shift 2
    got=$("${recommend[@]}" "$@" 2>said | tail -n +2 | cut -f1 | tr '\n' ' ')
    [ "$got" = "$wanted" ] || fail "$name: served '$got', wanted '$wanted': $(cat said)"
}
users 'blanks around ids' "$first $second " --users "$first, $second "
users 'the known are served' "$first $second " --users "$first,nobody,$second,x y"
grep -qF "warning: 2 of 4 left out: 'nobody', 'x y': no users of the set" said || fail "the unknown are not named: $(cat said)"
printf '\xef\xbb\xbf%s\r\n\nnobody\r\n  %s\t\n' "$first" "$second" >users.txt
users 'a file of users' "$first $second " --users @users.txt
grep -qF "warning: 1 of 3 left out: 'nobody'" said || fail "the unknown of a file are not named: $(cat said)"
check 'nobody is known' 2 "'nobody', 'else': are no users of the set" "${recommend[@]}" --users nobody,else
check 'strict' 2 "'nobody': is no user of the set" "${recommend[@]}" --users "$first,nobody" --strict
check 'a trace of the known' 0 "left out: 'nobody'" "$m" trace run --backend cpu --users "$first,nobody" --out traced

# Few items: the candidates are counted.
check 'uni99 among few' 0 'uni99: among only ' "$m" evaluate run --backend cpu
check 'uni99 among few is said' 0 ' samples of uni99 are ranked among fewer than 99 other items' "$m" evaluate run --backend cpu
"$m" evaluate run --backend cpu --json 2>/dev/null | python3 -c 'import json,sys; d=json.load(sys.stdin); sys.exit(not (d["uni99_short"] == d["samples"] > 0 and 0 <= d["uni99_least"] < 15))' ||
    fail 'the JSON does not count the candidates'

# Histories take what imports take.
item=$(sed -n 2p made/interactions.tsv | cut -f2)
printf 'who,what,when,stars\nnew,%s,5,4\n' "$item" >new.csv
check 'other names of columns' 2 'Name the right one with --user-column' "${recommend[@]}" --history new.csv
columns=(--user-column who --item-column what --time-column when)
behavior=$("$m" data describe set --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["behaviors"][0]["name"])')
check 'a behavior is missing' 2 'or derive it with --derive' "${recommend[@]}" --history new.csv "${columns[@]}"
check 'derived' 0 'new' "${recommend[@]}" --history new.csv "${columns[@]}" --derive "$behavior=stars>=4"
printf 'who,what,when,did\nnew,%s,5,%s\n' "$item" "$behavior" >did.csv
check 'named' 0 'new' "${recommend[@]}" --history did.csv "${columns[@]}" --behavior-column did

# What a file or a name holds does not reach the terminal as it is: cursors, colours, the direction of writing.
esc=$'\e[31m' turn=$'\u202e'
printf 'user_id,item_id,timestamp\n1,a,x%s%s\n1,b,2\n' "$esc" "$turn" >"evil$esc.csv"
printf 'data: set\nwi%sdth: 8\n' "$turn" >evil.yaml
cp -r made evil && sed -i "s/\tbuy\t/\tb${turn}uy\t/" evil/interactions.tsv
python3 - "$esc" <<'PYTHON'
import json, sys
nodes = [{"op": f"op{i}", "seconds": 1e-3, "floor_s": 1e-3} for i in range(1001)]
bench = {"device": "a device" + sys.argv[1], "peak_gflops": 100, "median_s": 0.01,
         "roofline": {"copy_gigabytes_per_s": 10, "nodes_s": 0.009, "floor_s": 0.005, "nodes": nodes[:9]}}
json.dump(bench, open("evil.json", "w"))
bench["roofline"]["nodes"] = nodes
json.dump(bench, open("many.json", "w"))
PYTHON
for command in "data import evil$esc.csv --out x.set" "train evil.yaml --out evil" "recommend run --backend cpu --users ghost$esc,$first" \
    "data describe none$esc$'\xff'" "data describe --none$esc" "none$esc" "conformance verify none$esc" \
    "plan --ranks 2 --link 1e9 --device evil.json" "data import evil --out evil.set" "data describe evil.set"; do
    # shellcheck disable=SC2086 # words
    "$m" $command >said 2>&1
    LC_ALL=C grep -q $'\e\|\u202e\|\xff' said && fail "$command: says $(cat -v said)"
    LC_ALL=C grep -qE '\\x1b|u\{202e\}' said || fail "$command: does not show it: $(cat -v said)"
done

# Work is bounded by what is read, and numbers that cannot be kept are refused.
plan=("$m" plan --ranks 2 --link 1e9)
check 'a file of too many ops' 2 'names more than 1000 ops' "${plan[@]}" --device many.json
check 'a folder as a device' 2 'cannot be read: Is a directory' "${plan[@]}" --device .
for number in 1e400 nan 1e-400; do
    check "items $number" 2 "--items cannot be '$number'" "${plan[@]}" --device h200 --items $number
done
for wrong in '--items 0.5' '--items 0' '--items -3' '--bus 0' '--bus -5'; do
    # shellcheck disable=SC2086 # words
    check "plan $wrong" 2 "${wrong% *}: cannot be ${wrong#* }" "${plan[@]}" --device h200 $wrong
done
check 'ranks without end' 2 'ranks: are 4294967295; give 1 to 1048576' "${plan[@]}" --device h200 --ranks 4294967295
check 'a link without end' 2 'give more than 0' "$m" plan --ranks 2 --link 1e400 --device h200
check 'users without end' 2 'line 1 is longer than an id' "${recommend[@]}" --users @/dev/zero

# What a run depends on is users, items, events and features, not titles, the order of rows, or how many were dropped.
{ head -1 made/interactions.tsv; tail -n +2 made/interactions.tsv | tac; } >reversed.tsv
{ cat made/interactions.tsv; printf 'u\ti\tbroken\n'; } >broken.tsv
cp -r made titled && sed -i '2,$s/$/ mended/' titled/items.tsv
sed '2,$s/\t\([^\t]*\)/\tz\1/1' made/interactions.tsv >renamed.tsv
sed '2d' made/interactions.tsv >fewer.tsv
for file in reversed.tsv broken.tsv titled; do
    "$m" data import $file --out $file.set -q >/dev/null 2>&1 || fail "importing $file"
    check "resume with $file" 0 '' "${train[@]}" --resume --set data=$file.set --set epochs=2
    check "recommend with $file" 0 "$first" "${recommend[@]}" --data $file.set --users "$first"
    "${recommend[@]}" --data $file.set --users "$first" 2>&1 | grep -q 'trained on another' && fail "a warning without need: $file"
done
# A checkpoint names the set that it was made with last; one of an older version learns what it lacks.
notes() { # FILE LACKS...: what it says of the set, or takes notes out of it
    python3 - "$@" <<'PYTHON'
import json, struct, sys
path, lacks = sys.argv[1], sys.argv[2:]
data = open(path, "rb").read()
length = struct.unpack("<Q", data[:8])[0]
header = json.loads(data[8:8 + length])
notes = header["__metadata__"]
if lacks:
    for name in lacks: del notes[name]
    text = json.dumps(header).encode()
    open(path, "wb").write(struct.pack("<Q", len(text)) + text + data[8 + length:])
else:
    print("%016x" % int(notes["data"]), notes.get("content", 0) != "0" and "content" in notes and "items" in notes)
PYTHON
}
checksum=$("$m" data describe titled.set --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["checksum"])')
"${train[@]}" --resume --set data=titled.set --set epochs=3 >/dev/null 2>&1 || fail 'resume with other titles'
[ "$(notes run/last.safetensors)" = "$checksum True" ] ||
    fail "the checkpoint says $(notes run/last.safetensors), the set $checksum"
notes run/last.safetensors content items
check 'an older checkpoint, another file' 2 'has other users, items, events or features' "${train[@]}" --resume --set data=set --set epochs=4
check 'an older checkpoint, its set' 0 '' "${train[@]}" --resume --set data=titled.set --set epochs=4
[ "$(notes run/last.safetensors)" = "$checksum True" ] || fail 'an older checkpoint does not learn its items'

for file in renamed.tsv fewer.tsv; do "$m" data import $file --out $file.set -q >/dev/null 2>&1 || fail "importing $file"; done
check 'resume with fewer events' 2 'has other' "${train[@]}" --resume --set data=fewer.tsv.set --set epochs=5
check 'resume with other items' 2 'has other items' "${train[@]}" --resume --set data=renamed.tsv.set --set epochs=5
check 'other items, as many' 2 'it knows the ids of 0 of' "${recommend[@]}" --data renamed.tsv.set --users "$first"
check 'evaluate with other items' 2 'it knows the ids of 0 of' "$m" evaluate run --backend cpu --data renamed.tsv.set
sed -i 's/^data: .*/data: gone.set/' run/settings.yaml
check 'other items, and the own set is gone' 2 'finds its items by the ids that stand in the set' "${recommend[@]}" --data renamed.tsv.set --users "$first"
exit $((failures > 0))
