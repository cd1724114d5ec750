#!/bin/bash
# What commands write: only files are replaced, a link keeps and its target is replaced, an input is never written over,
# leftovers of killed writers go, a file that may not grow is an error with its name, and one folder has one training.
source "$(dirname "$0")/../support/script.sh"
m=$M3BSR
cd "$folder" || exit 1
"$m" data synth --out source --users 20 --items 15 --clusters 3 --width 4 -q >/dev/null || fail 'data'
"$m" data import source --out set -q >/dev/null || fail 'import'
printf 'data: set\nwidth: 8\nlength: 5\nbatch: 16\nepochs: 1\ndiffusion_steps: 4\ninfer_start: 1\n' >config.yaml
train=("$m" train config.yaml --backend cpu --threads 1 -q)
check 'a training' 0 '' "${train[@]}" --out run

# Each command that names a file: FILE stands for its name.
writers=('data import source --out FILE -q' 'trace run --users u1 --backend cpu -q --out FILE'
    'train config.yaml --backend cpu -q --out fresh --profile FILE'
    "conformance --backend cpu --layer ops --cases exp(f32[7]) --report FILE")
write() { # WRITER FILE
    rm -rf fresh
    # shellcheck disable=SC2086 # words
    "$m" ${1//FILE/$2}
}
"$m" trace run --users u1 --backend cpu --out traced -q >/dev/null 2>&1 || writers[1]="${writers[1]/u1/$("$m" recommend run --top 1 --backend cpu 2>/dev/null | sed -n 2p | cut -f1)}"
mkfifo fifo.json && mkdir folder.json && python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("socket.json")'
mknod device.json c 1 3 2>/dev/null || ln -s /dev/null device.json
for w in "${writers[@]}"; do
    for kind in fifo folder socket device; do
        check "$kind: $w" 2 'which a file cannot take the place of' write "$w" $kind.json
    done
    [ -p fifo.json ] && [ -d folder.json ] && [ -S socket.json ] && [ -c device.json ] || fail "something was replaced: $w"
    rm -f target.json link.json dangling.json
    echo old >target.json && ln -s target.json link.json && ln -s missing.json dangling.json
    check "a link: $w" 0 '' write "$w" link.json
    [ -L link.json ] && ! grep -qx old target.json || fail "a link does not keep, or its target is as it was: $w"
    check "a link to nothing yet: $w" 0 '' write "$w" dangling.json
    [ -L dangling.json ] && [ -s missing.json ] || fail "a link to nothing is replaced: $w"
    rm -f missing.json
    ln -sf loop.json loop.json
    check "a loop of links: $w" 2 'Too many levels of symbolic links' write "$w" loop.json
    # Leftovers: without a lock the writer is dead, whatever its number; with one it lives.
    echo half >target.json.tmp.1 && echo half >target.json.tmp.77.3 && echo mine >target.json.tmp.old && echo half >live
    mv live target.json.tmp.5
    exec 8<target.json.tmp.5 && flock 8
    check "leftovers: $w" 0 '' write "$w" target.json
    exec 8<&-
    [ "$(echo target.json.tmp.*)" = 'target.json.tmp.5 target.json.tmp.old' ] || fail "left: $(echo target.json.tmp.*): $w"
    rm -f target.json.tmp.*
    echo old >target.json
    rm -rf fresh
    # shellcheck disable=SC2086
    check "a file that may not grow: $w" 3 'File too large' bash -c "ulimit -f 0; exec \"\$0\" \$1" "$m" "${w//FILE/target.json}"
    [ "$(cat target.json)" = old ] || fail "a file that could not be written has changed: $w"
    [ -z "$(find . -name '*.tmp.*')" ] || fail "something is left: $(find . -name '*.tmp.*')"
    rm -rf fresh
done

# Never an input, by whatever name.
ln -s source/items.tsv other.name
for file in source/interactions.tsv source/items.tsv ./source/../source/items.tsv other.name source/*.npy source/*ids.txt; do
    before=$(cksum "$file")
    check "an import over $file" 2 'which is read here' "$m" data import source --out "$file" -q
    [ "$(cksum "$file")" = "$before" ] || fail "$file has changed"
done
for file in set config.yaml; do
    check "a profile over $file" 2 'which is read here' "${train[@]}" --out fresh --profile "$file"
    [ ! -e fresh ] || fail 'a refusal leaves a folder behind'
done
# Nor a file that the same training writes, also where it is not there yet, nor of the run that it starts from.
for name in settings.yaml log.jsonl last.safetensors best.safetensors metrics.json report.html; do
    check "a profile over $name of its run" 2 'is a file of the run' "${train[@]}" --out ./fresh/ --profile fresh/$name
    [ ! -e fresh ] || fail 'a refusal leaves a folder behind'
done
cp set old.set && cp -r run older && sed -i "s,^data:.*,data: $folder/old.set," older/settings.yaml
for file in older/best.safetensors older/settings.yaml old.set; do
    check "a profile over $file" 2 'which is read here' "${train[@]}" --from older --out fresh --profile "$file"
done
for file in set run/best.safetensors run/last.safetensors run/settings.yaml run/log.jsonl; do
    check "a trace over $file" 2 'which is read here' write "${writers[1]}" "$file"
done
cp "$SOURCE_DIR/tests/vectors/pool.safetensors" vector.json
check 'a report over a vector file' 2 'which is read here' "$m" conformance --backend cpu --layer model --vectors vector.json \
    --report vector.json

# One folder, one training: the lock comes before the look at what is there.
mkdir busy
check 'a folder that another training has' 2 'another training is writing there' flock busy "${train[@]}" --out busy
[ -z "$(ls busy)" ] || fail 'a refused training writes'
check 'and then not' 0 '' "${train[@]}" --out busy
check 'a run that is there' 2 'holds a run; go on with --resume' "${train[@]}" --out busy
check 'resume of nothing' 2 'start or go on with --resume auto' "${train[@]}" --out nothing --resume
[ ! -e nothing ] || fail 'resume of nothing makes a folder'
check 'auto starts' 0 '' "${train[@]}" --out nothing --resume auto
check 'auto goes on' 0 '' "${train[@]}" --out nothing --resume auto --set epochs=2
grep -q '"epoch": *2\|"epoch":2' nothing/log.jsonl || fail 'auto did not go on'
check 'another word' 2 "--resume cannot be 'later'" "${train[@]}" --out nothing --resume=later

# Leftovers in a run, and a run without its log, or with half of it.
cp nothing/last.safetensors nothing/best.safetensors.tmp.12
cp nothing/last.safetensors nothing/last.safetensors.tmp.1.2
check 'leftovers of a run' 0 '' "${train[@]}" --out nothing --resume --set epochs=3
[ -z "$(find nothing -name '*.tmp.*')" ] || fail "left: $(ls nothing)"
mkdir moved half
cp nothing/settings.yaml nothing/last.safetensors moved
cp nothing/settings.yaml nothing/last.safetensors half
head -c 1000 nothing/log.jsonl >half/log.jsonl
for run in moved half; do
    check "$run" 0 'lines of the log are missing' "$m" train $run/settings.yaml --backend cpu --threads 1 --out $run --resume --set epochs=4
    python3 -c 'import json, sys; [json.loads(l) for l in open(sys.argv[1])]' $run/log.jsonl || fail "the log of $run is broken"
    check "the report of $run" 0 'NDCG' "$m" evaluate $run --backend cpu
done
check 'the whole run' 0 '' "${train[@]}" --out nothing --resume --set epochs=4
same nothing/last.safetensors moved/last.safetensors || fail 'a run without its log ends elsewhere'
# A best that is no number would never be reached again, or by anything.
for best in nan inf -infinity; do
    rm -rf bent && cp -r moved bent
    python3 - "$best" <<'PYTHON'
import json, struct, sys
data = open("bent/last.safetensors", "rb").read()
length = struct.unpack("<Q", data[:8])[0]
header = json.loads(data[8:8 + length])
header["__metadata__"]["best"] = sys.argv[1]
text = json.dumps(header).encode()
open("bent/last.safetensors", "wb").write(struct.pack("<Q", len(text)) + text + data[8 + length:])
PYTHON
    check "a best of $best" 2 "its note 'best' is '$best'; the file is damaged" "$m" train bent/settings.yaml --backend cpu --out bent \
        --resume --set epochs=5 -q
done

rm half/log.jsonl && mkfifo half/log.jsonl
check 'a FIFO as log' 2 'log.jsonl: is no file' "$m" train half/settings.yaml --backend cpu --out half --resume --set epochs=5 -q
# An import that is stopped leaves nothing behind, and an older set as it was. It is once it reads; rows that repeat are
# many in a small file.
mkdir stopped
"$m" data synth --out stopped/source --users 20 --items 20 --clusters 2 -q >/dev/null
"$m" data import stopped/source --out stopped/old.set -q >/dev/null
{ printf 'user_id,item_id,timestamp\n'; yes u,i,1 | head -n 8000000; } | gzip -1 >stopped/many.csv.gz
cp stopped/old.set kept.set
before=$(ls stopped; cksum stopped/old.set)
put_back() { rm -f stopped/new.set && cp kept.set stopped/old.set; }
reads() { { readlink /proc/$pid/fd/*; cat /proc/$pid/maps; } 2>/dev/null | grep -q many.csv.gz; }
set -m # so that a command in the background hears of Ctrl-C
for signal in INT TERM; do
    for out in new.set old.set; do
        interrupt $signal put_back reads "$m" data import stopped/many.csv.gz --out stopped/$out
        [ $status = 130 ] || fail "an import to $out, stopped by $signal: status $status: $(cat said)"
        [ "$(ls stopped; cksum stopped/old.set)" = "$before" ] || fail "an import to $out, stopped by $signal, leaves $(ls stopped)"
    done
done
set +m

exit $((failures > 0))
