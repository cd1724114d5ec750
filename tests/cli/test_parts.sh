#!/bin/bash
# Checkpoints that several ranks write in parts: every command takes them, checkpoint join makes one file of them, and
# a run that lacks a part, or whose ranks share no folder, says what to do.
source "$(dirname "$0")/../support/script.sh"

cd "$folder" || exit 1
m=$M3BSR
"$m" data synth --out source --users 120 --items 60 --clusters 4 --width 8 >said 2>&1 &&
    "$m" data import source --out set >said 2>&1 || { cat said; exit 1; }
printf '%s\n' 'data: set' 'width: 8' 'heads: 2' 'expert: pool' 'expert_layers: 1' 'length: 6' 'batch: 16' 'epochs: 1' \
    'accumulate: 6' >config.yaml
train=("$m" train config.yaml --devices cpu,cpu --threads 2 -q)
check 'one file' 0 '' "${train[@]}" --out one
check 'parts' 0 '' "${train[@]}" --out parts --set checkpoint_parts=on
[ "$(echo parts/last.*.safetensors | wc -w)" = 2 ] || fail "two parts of the last: $(ls parts)"

# Every command takes them.
for command in 'evaluate RUN --backend cpu --threads 1' 'recommend RUN --users 1,2,3 --backend cpu --threads 1'; do
    "$m" ${command/RUN/one} >one.said 2>/dev/null
    "$m" ${command/RUN/parts} >parts.said 2>/dev/null
    cmp <(sed 's/^one/parts/; s,one/,parts/,g' one.said) parts.said || fail "$command differs on a run in parts: $(cat parts.said)"
done
check 'a run to start from' 0 'best is epoch' "$m" train --from parts --set data=set --out from --backend cpu

# One file of them.
check 'joined elsewhere' 0 'parts: 2 parts joined to joined.safetensors' "$m" checkpoint join parts --out joined.safetensors
same joined.safetensors one/best.safetensors || fail 'what is joined has other tensors'
check 'a part is no checkpoint' 2 'is part 1 of 2 of a checkpoint' "$m" checkpoint join parts --out x --checkpoint "$(echo parts/last.*.1-of-2.safetensors)"
check 'nor to evaluate' 2 'name the file beside it' "$m" evaluate parts --backend cpu --checkpoint "$(echo parts/last.*.2-of-2.safetensors)"
check 'not over the run' 2 'which is read here' "$m" checkpoint join parts --out parts/last.safetensors
check 'not over a part' 2 'which is read here' "$m" checkpoint join parts --out "$(echo parts/best.*.1-of-2.safetensors)"
for out in "$(echo parts/best.*.1-of-2.safetensors)" parts/best.00000000000000aa.3-of-4.safetensors; do
    check "a trace over part $out" 2 'give another name' "$m" trace parts --users u1 --out "$out" --backend cpu
    check "a trace over part $out of the checkpoint" 2 'give another name' "$m" trace one --checkpoint parts/best.safetensors \
        --users u1 --out "$out" --backend cpu
    check "a profile over part $out" 2 'give another name' "$m" train --from parts --out fresh --profile "$out" --backend cpu
done
ln -s "$(basename parts/best.*.2-of-2.safetensors)" parts/lists.csv
check 'lists over a part by a link' 2 'give another name' "$m" evaluate parts --lists parts/lists.csv --backend cpu
rm parts/lists.csv
[ ! -e fresh ] || fail 'a refusal leaves a folder behind'
cp -r parts kept
check 'joined in place' 0 'parts/last.safetensors: 2 parts joined' "$m" checkpoint join parts
[ "$(echo parts/*.safetensors)" = 'parts/best.safetensors parts/last.safetensors' ] || fail "left: $(ls parts)"
same parts/last.safetensors one/last.safetensors || fail 'joined in place, it has other tensors'
check 'joined again' 0 '"parts": 0' "$m" checkpoint join parts --json
check 'it goes on' 0 'best is epoch' "$m" train config.yaml --out parts --resume --set epochs=2 --devices cpu,cpu
flock kept "$m" checkpoint join kept >said 2>&1
status=$?
[ $status = 2 ] && grep -q 'another training is writing there' said || fail "a run that is trained is joined: $(cat said)"

# Damage.
rm kept/last.*.2-of-2.safetensors
check 'a part that is missing' 2 '2-of-2.safetensors: is missing' "$m" checkpoint join kept
check 'the best is joined before that' 0 '"parts": 0' "$m" checkpoint join kept --out best --json
check 'resumption without a part' 2 '2-of-2.safetensors: is missing' "${train[@]}" --out kept --resume

# What a file says of itself costs no more than the file has: rows of nothing, and parts that are not there.
python3 - <<'PYTHON'
import json, os, shutil, struct
def read(path):
    data = open(path, "rb").read()
    length = struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8:8 + length]), data[8 + length:]
def write(path, header, data=b""):
    text = json.dumps(header).encode()
    open(path, "wb").write(struct.pack("<Q", len(text)) + text + data)
header, data = read("one/best.safetensors")
header["zz"] = {"dtype": "F32", "shape": [1 << 55, 0], "data_offsets": [len(data), len(data)]}
os.mkdir("endless")
write("endless/best.safetensors", header, data)
del header["zz"]
header["__metadata__"].update(parts="65536", save="00000000000000aa", stem="best")
os.mkdir("many")
write("many/best.safetensors", header, data)
names = [f"t{i}" for i in range(20000)]
header = {name: {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]} for name in names}
header["__metadata__"] = {"format": "m3bsr checkpoint part 1", "save": "00000000000000aa", "part": "1 of 65536",
                          **{"rows." + name: "0 0 0" for name in names}}
write("many/best.00000000000000aa.1-of-65536.safetensors", header)
PYTHON
check 'rows of nothing' 0 'is one file, copied' "$m" checkpoint join endless --out ended
[ -n "$SANITIZE" ] || check 'parts that are not there' 2 '2-of-65536.safetensors: is missing' \
    bash -c 'ulimit -v 4000000; exec "$@"' - "$m" checkpoint join many --out joined

check 'a file that may not grow' 3 'best.safetensors: could not be written: File too large' \
    bash -c 'ulimit -f 8; exec "$@"' - "${train[@]}" --out full --set checkpoint_parts=on
[ -z "$(find full -name '*-of-*')" ] || fail "a save that failed leaves $(ls full)"

if [ -n "$SANITIZE" ] || ! command -v mpirun >/dev/null || ! "$m" plugins 2>/dev/null | grep -q 'loaded.*mpi '; then
    echo 'left out: mpirun, or the plugin mpi, is not here'
    [ $failures = 0 ]
    exit
fi
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
mkdir elsewhere
in_folder() { printf 'cd %s && exec "%s" train %s/config.yaml --out %s --threads 1 -q --set checkpoint_parts=on\n' "$1" "$m" "$folder" "$2"; }
apart() { mpirun --oversubscribe -n 1 sh -c "$(in_folder . "$1")" : -n 1 sh -c "$(in_folder elsewhere "$2")"; }
check 'a folder that a rank lacks' 2 'is no folder that rank 1 can write its parts of checkpoints to' apart apart apart
mkdir elsewhere/apart
check 'a folder that another machine has, too' 2 'is another folder for rank 1 than for rank 0' apart apart apart
[ -z "$(find . -path '*/apart/*-of-*')" ] || fail "something is left: $(ls apart elsewhere/apart)"
check 'a folder that they share' 0 '' apart shared ../shared
[ "$(echo shared/*-of-2.safetensors | wc -w)" = 4 ] || fail "four parts: $(ls shared)"
check 'parts of processes' 0 'last.safetensors: 2 parts joined' "$m" checkpoint join shared
same shared/last.safetensors one/last.safetensors || fail 'processes write other tensors'
[ $failures = 0 ]
