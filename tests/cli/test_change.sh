#!/bin/bash
# Data that something else changes while it is read: the file is named, the status is 3, what was saved before is whole,
# and with the data back in place the training goes on to the same bits.
source "$(dirname "$0")/../support/script.sh"
cd "$folder" || exit 1
m=$M3BSR
"$m" data synth --out source --users 300 --items 120 --clusters 5 --width 8 >said 2>&1 || fail "a source: $(cat said)"
"$m" data import source --out kept >said 2>&1 || fail "a set: $(cat said)"
printf '%s\n' 'data: set' 'width: 8' 'heads: 1' 'expert_layers: 1' 'length: 8' 'batch: 16' 'epochs: 100000' 'diffusion_steps: 10' \
    'infer_start: 4' 'patience: 0' >config.yaml

# changes NAME SAYS COMMAND...: after its first epoch a training finds its set changed by the command, and says the regular
# expression. Which of its ways of finding that comes first depends on where in an epoch the command meets it.
changes() {
    local name=$1 says=$2 pid status
    shift 2
    rm -f set
    cp kept set
    rm -rf run
    "$m" train config.yaml --out run --backend cpu -q >said 2>&1 &
    pid=$!
    wait_until $pid test -e run/last.safetensors
    "$@" || fail "$name cannot be done"
    wait $pid
    status=$?
    [ $status = 3 ] || fail "$name: status $status instead of 3: $(cat said)"
    grep -qE "set: $says" said || fail "$name: it does not say \"set: $says\": $(cat said)"
}

cut_to_nothing() { : >set; }
write_the_same() { dd if=kept of=set conv=notrunc status=none; }
write_rubbish() { head -c "$(stat -c %s set)" /dev/zero | tr '\0' '\177' | dd of=set conv=notrunc status=none; }
grow() { echo >>set; }

# goes_on: with the set of before in its place, a training that was broken off ends as one that never was
goes_on() {
    local epochs
    epochs=$(($(grep -c '"event":"epoch"' run/log.jsonl) + 1))
    cp kept new && mv new set
    check 'a training goes on' 0 "$epochs epochs" "$m" train config.yaml --out run --resume --backend cpu --set epochs=$epochs
    check 'a training that was not broken off' 0 "$epochs epochs" "$m" train config.yaml --out whole --backend cpu --set epochs=$epochs
    same run/last.safetensors whole/last.safetensors || fail 'a training goes on to other parameters'
}

missing='was cut short by something else while it was read' # what is read is no longer there
for _ in $(seq 20); do                                         # most often the first time
    changes 'a set that is cut' "($missing|has 0 bytes and had [0-9]+ when it was opened)" cut_to_nothing
    grep -qF "$missing" said && break
done
grep -qF "$missing" said || fail 'a set that is cut twenty times was never missed while it was read'
goes_on
changes 'a set that is written again' 'was written to after it was opened' write_the_same
changes 'a set of which each byte changes' 'was written to (after it was opened|by something else while it was read)' write_rubbish
changes 'a set that grows' 'has ' grow
exit $((failures > 0))
