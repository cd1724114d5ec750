#!/bin/bash
# Formats of tables as people have them: separators, line ends, files without header, compressed ones, and those that
# are no text. The same events come out of each.
source "$(dirname "$0")/../support/script.sh"
m=$M3BSR
cd "$folder" || exit 1
events() { # NAME WANTED: users, items and events of x.set
    local got
    got=$("$m" data describe x.set --json | python3 -c 'import json,sys; d=json.load(sys.stdin); print(d["users"], d["items"], d["import"]["events"])')
    [ "$got" = "$2" ] || fail "$1: '$got', wanted '$2'"
}
import() { # FILE PATTERN OPTIONS...
    local file=$1 pattern=$2
    shift 2
    rm -f x.set
    check "$file $*" 0 "$pattern" "$m" data import "$file" --out x.set -v "$@"
    [ ! -e x.set ] || events "$file $*" '2 3 4'
}
refused() { # FILE PATTERN OPTIONS...
    local file=$1 pattern=$2
    shift 2
    check "$file $*" 2 "$pattern" "$m" data import "$file" --out y.set "$@"
    [ ! -e y.set ] || fail "$file $*: wrote a set"
}

# Separators: what the lines show wins over what the name suggests, and is said then.
printf '%s\n' user_id,item_id,timestamp u1,a,1 u1,b,2 u2,a,3 u2,c,4 >plain.csv
tr , '\t' <plain.csv >tabs.csv
tr , ';' <plain.csv >semicolons.csv
tr , '|' <plain.csv >bars.txt
sed 's/,/::/g' plain.csv >colons.dat
sed 's/,/   /; s/,/ /; s/^/  /; s/$/ /' plain.csv >blanks.txt
tr '\n' '\r' <plain.csv >mac.csv
sed 's/$/\r/' semicolons.csv >windows.csv
{ echo 'user_id,item_id,timestamp,title'; tail -n +2 plain.csv | sed 's/$/,"a; b; c; d; e"/'; } >titles.csv
{ echo 'user_id;item_id;timestamp;price'; tail -n +2 plain.csv | tr , ';' | sed 's/$/;"1,5;x"/'; } >prices.csv
sed '1s/$/,a;b;c;d;e/; 2,$s/$/,x/' plain.csv >header.csv # more parts of the first line alone are no columns
import header.csv "columns not used: 'a;b;c;d;e'"
import plain.csv 'target'
import tabs.csv 'tabs.csv: its fields are separated by a tab'
import semicolons.csv "semicolons.csv: its fields are separated by ';'"
{ printf 'sep=;\r\n'; cat windows.csv; } >excel.csv
{ printf '\xef\xbb\xbfSEP=|\n'; cat bars.txt; } >named.csv
{ echo 'sep=;'; tail -n +2 semicolons.csv; } >nameless.csv
{ echo sep=x; cat plain.csv; } >wrong.csv
import excel.csv "excel.csv: its fields are separated by ';'"
import named.csv "named.csv: its fields are separated by '|'"
import nameless.csv "nameless.csv: its fields are separated by ';'" --columns user_id,item_id,timestamp
import wrong.csv target --separator ,
refused wrong.csv "has no column 'user_id'"
import bars.txt "bars.txt: its fields are separated by '|'"
import colons.dat "colons.dat: its fields are separated by '::'"
import blanks.txt 'blanks.txt: its fields are separated by a run of blanks'
import mac.csv 'target'
import windows.csv "separated by ';'"
import titles.csv 'columns not used'
import prices.csv "separated by ';'"
"$m" data import plain.csv --out x.set -v 2>&1 | grep -q separated && fail 'the usual separator is said'
sed 's/,/^/g' plain.csv >given.csv
import given.csv "separated by '^'" --separator '^'
import tabs.csv 'separated by a tab' --separator tab
import blanks.txt 'separated by a run of blanks' --separator blank
import colons.dat "separated by '::'" --separator ::
refused plain.csv "has no column 'user_id'; its columns are 'user_id,item_id,timestamp'" --separator ';'
refused plain.csv "separator: cannot be '\"'" --separator '"'
refused plain.csv "separator: cannot be ''" --separator ''

# JSON lines: an object a row, known by its content. Keys may come in any order and be missing.
python3 - plain.csv >plain.jsonl <<'PYTHON'
import csv, json, sys
for i, row in enumerate(csv.DictReader(open(sys.argv[1]))):
    row["timestamp"] = int(row["timestamp"])
    if i % 2: row = dict(reversed(row.items()))
    print(json.dumps(row | {"tags": ["x", {"y": 1}], "note": None}))
PYTHON
import plain.jsonl 'columns not used'
gzip -c plain.jsonl >objects.gz
import objects.gz 'target'
cp plain.jsonl rated.jsonl
echo '{"user_id": "u2", "item_id": "c", "timestamp": 5, "stars": 4.5}' >>rated.jsonl
check 'a key that few have' 0 '1 events of 1 users and 1 items' "$m" data import rated.jsonl --out y.set -v --derive 'like=stars>=4.5'
rm y.set
json() { # LINE PATTERN: the second line
    { head -1 plain.jsonl; printf '%s\n' "$1"; tail -n +2 plain.jsonl; } >bad.jsonl
    import bad.jsonl "bad.jsonl:2: $2"
    refused bad.jsonl "bad.jsonl:2: $2" --strict
}
json '{"user_id": "u1", "item_id": ["a"], "timestamp": 9}' 'item_id is a list, not a text or a number'
json '{"user_id": {}, "item_id": "a", "timestamp": 9}' 'user_id is an object, not a text or a number'
json '{"user_id": "u1", "item_id": null, "timestamp": 9}' 'item_id is empty'
json '{"user_id": "u1", "timestamp": 9}' 'item_id is empty'
json '{"user_id": "u1", "item_id": "a", "timestamp": true}' "timestamp is 'true', not a number"
json '{"user_id": "u1", "item_id": "a", "timestamp": 9' 'is no JSON object: '
json '["u1", "a", 9]' 'is no JSON object: another value'
json '{"user_id": "u1", "item_id": "a", "timestamp": 99999999999999999999}' 'is no JSON object: too big integer'
printf '{\n"user_id": "u1"}\n' >pretty.json
refused pretty.json 'has no keys in its first objects: line 1 is no JSON object'
printf '[\n {"user_id": "u1", "item_id": "a", "timestamp": 1}]\n' >list.json
refused list.json "is one list of JSON; make lines of its objects: jq -c '.[]' 'list.json' > interactions.jsonl"
sed 's/"user_id"/"who"/' plain.jsonl >who.jsonl
refused who.jsonl "has no column 'user_id'; its columns are 'who', 'item_id', 'timestamp', 'tags', 'note'"
printf '%s\n' '{"item_id": "a", "title": "A \u00fc"}' '{"item_id": "b"}' '{"item_id": "c", "title": "C"}' >items.jsonl
import plain.jsonl 'target' --items items.jsonl
grep -qa 'A ü' x.set || fail 'a title of JSON'
mkdir lines && cp plain.jsonl lines/interactions.jsonl && cp items.jsonl lines/items.ndjson && touch lines/notes.text lines/other.csv
import lines 'not read in lines: notes.text, other.csv'

# Without header. The names are those of all columns; a header that is there after all is none of the rows.
for file in plain.csv tabs.csv colons.dat blanks.txt mac.csv; do
    end=$'\n'; [ $file = mac.csv ] && end=$'\r'
    { IFS= read -r -d "$end" _; cat; } <$file >bare-$file
    import bare-$file 'target' --columns user_id,item_id,timestamp
done
import bare-plain.csv 'target' --columns who,what,when --user-column who --item-column what --time-column when
import plain.csv 'target' --columns user_id,item_id,timestamp
refused bare-plain.csv "its first line looks like data and not like a header: 'u1', 'a', '1'. Name the columns with --columns A,B,..."
refused bare-plain.csv 'line 1 has 3 fields where --columns names 2' --columns user_id,item_id
refused bare-plain.csv "has no column 'timestamp'; its columns are 'user_id', 'item_id', 'rating'" --columns user_id,item_id,rating
printf '%s\n' 'a;One' 'b;Two' 'c;3' >items.csv
import plain.csv "items.csv: its fields are separated by ';'" --items items.csv --items-columns item_id,title
printf '%s\n' '1,One' '2,Two' >numbers.csv
refused plain.csv 'Name the columns with --items-columns A,B,...' --items numbers.csv

# Compressed, by content and not by name; several streams are one text; what is cut off or broken is said.
mkdir source
gzip -c plain.csv >source/interactions.csv.gz
gzip -c plain.csv >named.csv
{ head -c 30 plain.csv | gzip; tail -c +31 plain.csv | gzip; head -c 100 /dev/zero; } >several.csv.gz
base64 -d >zstd.csv.zst <<<'KLUv/QRYsQEAdXNlcl9pZCxpdGVtX2lkLHRpbWVzdGFtcAp1MSxhLDEKdTEsYiwyCnUyLGEsMwp1MixjLDQKIm0uxg=='
printf '%s\n' a b c | gzip >source/image.ids.txt.gz
printf '%s\n' $'item_id\ttitle' $'a\tA' $'b\tB' $'c\tC' | gzip >source/items.tsv.gz
python3 - <<'PYTHON'
import struct
head = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }\n"
open("source/image.npy", "wb").write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + struct.pack("<6f", *range(6)))
PYTHON
import source 'image.ids.txt.gz'
import named.csv 'target'
import several.csv.gz 'target'
import zstd.csv.zst 'target'
head -c 60 zstd.csv.zst >cut.zst
head -c 40 source/interactions.csv.gz >cut.gz
{ head -c 30 named.csv; printf 'xxxxxx'; tail -c +37 named.csv; } >broken.gz
{ cat named.csv; echo more; } >followed.gz
refused cut.gz 'cut.gz: is cut off: its compressed bytes end before its text does'
refused cut.zst 'cut.zst: is cut off: its compressed bytes end before its text does'
refused broken.gz 'broken.gz: is damaged: its compressed bytes end or are broken at'
refused followed.gz 'followed.gz: is damaged'
# Rows over many windows, a line longer than a window, and quotes that swallow lines behind a window's end.
python3 - <<'PYTHON'
import gzip
rows = ["user_id,item_id,timestamp,text"] + ["u%d,i%d,%d,%s" % (i % 99, i % 77, i, "x" * (i % 50)) for i in range(60000)]
rows[50] += "y" * 700000
rows[30000] = 'u1,i1,30000,"two\nlines"'
rows[40000] = 'u1,i1,40000,"open'
text = "\n".join(rows) + "\n"
open("long.csv", "w").write(text)
gzip.open("long.csv.gz", "w", 1).write(text.encode())
PYTHON
"$m" data import long.csv --out long.set -q >long.said 2>&1 || fail 'long'
"$m" data import long.csv.gz --out packed.set -q >packed.said 2>&1 || fail 'packed'
cmp long.set packed.set || fail 'compressed rows are other rows'

# No text: said by name, with the command that converts it.
printf 'PAR1....PAR1' >clicks.parquet
pandas="python3 -c 'import pandas, sys; pandas."
refused clicks.parquet "is Parquet, which is not read; convert it: ${pandas}read_parquet(sys.argv[1]).to_csv(sys.argv[2], index=False)' 'clicks.parquet' 'clicks.csv'"
mkdir folder && cp clicks.parquet folder/interactions.parquet
refused folder "'folder/interactions.parquet' 'folder/interactions.csv'"
printf 'PK\3\4xxxx' >sheet.xlsx
refused sheet.xlsx "is a spreadsheet or a zip archive, which is not read; convert it: ${pandas}read_excel(sys.argv[1]).to_csv(sys.argv[2], index=False)' 'sheet.xlsx' 'sheet.csv'"
printf 'BZhxxxxxx' >packed.csv.bz2
refused packed.csv.bz2 "is compressed with bzip2, which is not read; convert it: bzip2 -dc 'packed.csv.bz2' > 'packed.csv'"
mkdir archive && cp long.csv archive && tar cf archive.tar archive && gzip -k archive.tar
refused archive.tar "is a tar archive, which is not read; convert it: tar xf 'archive.tar'"
refused archive.tar.gz "is a tar archive, which is not read; convert it: tar xf 'archive.tar.gz'"
gzip -c long.csv.gz >twice.csv.gz.gz
refused twice.csv.gz.gz "gzip -dc 'twice.csv.gz.gz' > 'twice.csv.gz'"
# A command never writes over what it reads, and no name is a part of it.
printf 'SQLite format 3\0xxxx' >shop.csv
refused shop.csv "sqlite3 -header -csv 'shop.csv' 'select * from TABLE' > 'shop.csv.csv'"
cp packed.csv.bz2 ./-k.bz2
refused ./-k.bz2 "bzip2 -dc './-k.bz2' > './-k'"
name=--decompress.bz2
cp packed.csv.bz2 ./$name
"$m" data import --out x.set -- $name >said 2>&1
grep -qF -- "bzip2 -dc './$name' > './--decompress'" said || fail "a name that begins with -: $(cat said)"
name="it's \$(touch harm) .parquet"
cp clicks.parquet "$name"
"$m" data import "$name" --out x.set >said 2>&1
command=$(sed -n 's/.*convert it: python3//p' said | sed 's/  \[[^[]*\]$//')
[ "$(bash -c "printf '%s\n' $command" | tail -2)" = "$name"$'\n'"${name%parquet}csv" ] && [ ! -e harm ] || fail "a name is a part of a command: $command"

# Times: dates of ISO 8601, numbers of a unit that their range shows or that is given, and none at all.
times() { # NAME WANTED: unit, digits, first and last of x.set
    local got
    got=$("$m" data describe x.set --json | python3 -c 'import json,sys; d=json.load(sys.stdin); b=d["behaviors"][0]; print(d["time_unit"], d["time_digits"], b["first_time"], b["last_time"])')
    [ "$got" = "$2" ] || fail "$1: times '$got', wanted '$2'"
}
timed() { # PATTERN TIMES FIRST SECOND OPTIONS...: of two events
    printf 'user_id,item_id,timestamp\nu,a,%s\nu,b,%s\n' "$3" "$4" >times.csv
    rm -f x.set
    check "times $3 $4 ${*:5}" 0 "$1" "$m" data import times.csv --out x.set -v "${@:5}"
    times "$3 $4" "$2"
}
timed 'timestamps are dates, from 2020-01-31 00:00:00 to 2020-01-31 10:30:15' 's 2 158042880000 158046661525' 2020-01-31 2020-01-31T12:30:15.25+02:00
timed '1 timestamps have no zone and are taken as UTC' 's 0 1577836800 1577836801' '2020-01-01 00:00:00' '2020-01-01T00:00:01Z'
timed '2 timestamps have no zone' 's 0 951782400 951827400' 2000-02-29 2000-02-29T12:30
timed 'are dates' 's 0 1577838600 1577854800' '2020-01-01 00:00 -0030' '2020-01-01T00:00:00-05'
timed 'are dates' 's 4 -2500 -2499' 1969-12-31T23:59:59.75Z 1969-12-31T23:59:59.7501Z
timed 'are dates' 's 0 1483228800 1483228801' 2016-12-31T23:59:60Z 2017-01-01T00:00:01UTC
timed 'are seconds since 1970, from 2020-01-01 00:00:00 to 2020-01-02 00:00:00; if not, give --time-unit' 's 0 1577836800 1577923200' 1577836800 1577923200
timed 'are milliseconds since 1970, from 2020-01-01' 'ms 0 1577836800123 1577836800124' 1577836800123 1577836800124
timed 'are microseconds since 1970, from 2020-01-01' 'us 0 1577836800123456 1577836800123457' 1577836800123456 1577836800123457
timed 'are nanoseconds since 1970, from 2020-01-01' 'ns 0 1577836800123456788 1577836800123456789' 1577836800123456788 1577836800123456789
timed 'are milliseconds since 1970, from 1970-01-01 00:00:05' 'ms 0 5000 6000' 5000 6000 --time-unit ms
timed 'target' 'None 0 5000 6000' 5000 6000
timed 'the order of its rows is the time' 'None 0 1 2' 9 8 --time-column none
timed 'are dates' 'ms 0 1577836800000 1577836801000' 2020-01-01 2020-01-01T00:00:01 --time-unit ms
timed 'timestamps are dates, from 2020-01-31 00:00:00 to 2020-02-01 09:05:00' 's 0 1580428800 1580547900' 2020/01/31 '2020/2/1 9:05'
timed 'are dates' 's 0 1580428800 1580547900' 2020.01.31 2020-2-1T9:05Z
timed 'are dates' 's 0 1580515200 1580515201' 2020-01-31T24:00 2020-02-01T00:00:01Z
timed 'are dates' 's 1 15805152005 15805188000' 20200201T000000.5Z 20200131T2100-0400
times3() { printf '%s\n' user_id,item_id,timestamp "u,a,$1" "u,b,$2" "u,c,$3" >times.csv; }
times3 1577836800123 1577836800124 1577836800
check 'two units' 0 'warning: times.csv:4: not in the range of milliseconds since 1970, and 1 such timestamps in all' "$m" data import times.csv --out x.set
for bad in 2019-02-29 2020-13-01 2020-01-01T24:01 20200101T24 2020-01-01T10:30.5 2020-01-01T10 2020-1/1 2020-01-01T10:00+0 2020-01-01T10:00:00.; do
    times3 $bad 2020-01-01 2020-01-02
    check "no date $bad" 0 "timestamp is '$bad', not a number and no date such as" "$m" data import times.csv --out x.set -v
done
# What nobody can tell the day and the month of; a few among others are dropped as any other defect.
for last in 31.01.2020 05/04/2020 '5-4-20 12:30'; do
    times3 "$last" "$last" 2020-01-02
    refused times.csv "times.csv: its times have the year last, such as '$last'"
done
refused times.csv "'s|([0-9]{1,2})[./-]([0-9]{1,2})[./-]([0-9]{4})|\3-\2-\1|', or |\3-\1-\2| where the month is first"
times3 31.01.2020 2020-01-01 2020-01-02
check 'one with the year last' 0 "timestamp is '31.01.2020', not a number and no date such as" "$m" data import times.csv --out x.set -v
refused times.csv "--time-unit: cannot be 'h'; give s, ms, us, ns or auto" --time-unit h
printf '%s\n' 2020-01-01,a,x 2020-01-02,b,y >dates.csv
refused dates.csv 'its first line looks like data'
# Another unit than the set's is turned into it.
timed 'seconds' 's 0 1577836800 1577836801' 1577836800 1577836801
mv x.set seconds.set
printf '%s\n' user_id,item_id,timestamp u,a,1577836800000 u,c,1577836802000 >later.csv
check 'append' 0 '1 repeat an earlier event' "$m" data append seconds.set later.csv --out x.set -v
times 'append of milliseconds' 's 0 1577836800 1577836802'

# On a terminal, a bar.
python3 - <<'PYTHON'
with open("many.csv", "w") as f:
    f.write("user_id,item_id,timestamp\n")
    for i in range(5000): f.write("u%d,i%d,%d\n" % (i % 99, i % 77, i))
PYTHON
script -qec "'$m' data import many.csv --out bar.set" /dev/null >bar.said </dev/null || fail 'import on a terminal'
grep -qE 'many.csv \[\.*\#*\.*\] +[0-9]+ %  5000 rows  [0-9]+ rows/s  [0-9]+:[0-9]{2} left' bar.said || fail "no bar: $(cat -v bar.said)"
grep -q 'writing bar.set' bar.said || fail "writing is not said: $(cat -v bar.said)"
"$m" data import many.csv --out bar.set 2>&1 >/dev/null | grep -q 'rows/s' && fail 'a bar without a terminal'

# Histories are read the same way.
"$m" data synth --out made --users 20 --items 15 --clusters 3 --modalities 0 -q >/dev/null || fail 'data'
"$m" data import made --out set -q >/dev/null || fail 'import'
printf 'data: set\nwidth: 8\nlength: 5\nbatch: 16\nepochs: 1\ndiffusion_steps: 4\ninfer_start: 1\n' >config.yaml
check 'a training' 0 '' "$m" train config.yaml --backend cpu --threads 1 -q --out run
item=$(sed -n 2p made/interactions.tsv | cut -f2)
behavior=$("$m" data describe set --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["behaviors"][0]["name"])')
printf 'new;%s;5;%s\n' "$item" "$behavior" | gzip >new.gz
check 'histories' 0 'new' "$m" recommend run --backend cpu --top 1 --history new.gz --separator ';' --columns user_id,item_id,timestamp,behavior
check 'histories without header' 2 'Name the columns with --columns' "$m" recommend run --backend cpu --top 1 --history new.gz
exit $((failures > 0))
