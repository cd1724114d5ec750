#!/bin/bash
# The user's job on one backend, from the outside: a training that is interrupted, killed at any moment, or loses its
# device goes on to the same bits; evaluation, recommendation and a trace; checkpoints move to the cpu and back.
# Labels: whole
# Parts: cpu opencl vulkan
source "$(dirname "$0")/../support/script.sh"
backend=${1:?usage: test_devices.sh BACKEND}
m=$M3BSR

if ! "$m" devices 2>/dev/null | grep -q "^$backend:"; then
    [ "$backend" != cpu ] || { echo 'FAILED: there is no cpu'; exit 1; }
    echo "skipped: this machine has no $backend device; \`m3bsr devices -v\` says why"
    exit 77
fi

cd "$folder" || exit 1
"$m" data synth --out source --users 60 --items 50 --clusters 4 --width 8 >said 2>&1 || fail "a source: $(cat said)"
"$m" data import source --out set >said 2>&1 || fail "a set: $(cat said)"
printf '%s\n' 'data: set' 'width: 16' 'heads: 2' 'expert_layers: 1' 'length: 8' 'batch: 16' 'epochs: 3' 'lr: 0.003' \
    'infer_start: 5' 'diffusion_steps: 20' 'dropout: 0.1' 'checkpoint_steps: 4' >config.yaml
train=("$m" train config.yaml --strict)

check 'a training' 0 'best is epoch' "${train[@]}" --backend "$backend" --out whole
check 'evaluation' 0 'popularity' "$m" evaluate whole --backend "$backend"
[ "$("$m" evaluate whole --backend "$backend" --json)" = "$("$m" evaluate whole --backend "$backend" --json)" ] ||
    fail 'two evaluations differ'
check 'recommendation' 0 'u1	1	' "$m" recommend whole --backend "$backend" --users u1,u2 --top 3

# Ctrl-C, somewhere after the first checkpoint.
interrupt INT 'rm -rf parts' 'test -e parts/last.safetensors' "${train[@]}" --backend "$backend" --out parts
[ $status = 130 ] || fail "an interrupted training ends with status $status instead of 130: $(cat said)"
check 'resume' 0 'best is epoch' "${train[@]}" --backend "$backend" --out parts --resume
same whole/last.safetensors parts/last.safetensors || fail 'a resumed training ends with other parameters'

# Killed a few times, at moments that differ from run to run; every time what lies there is whole.
runs=0
while [ $runs -lt 4 ]; do
    resume=--resume
    [ -e killed/log.jsonl ] || resume=
    # shellcheck disable=SC2086 # a word or nothing
    "${train[@]}" --backend "$backend" --out killed $resume >said 2>&1 &
    pid=$!
    [ -z "$resume" ] && wait_until $pid test -e killed/last.safetensors
    sleep "0.$((RANDOM % 60 + 10))"
    kill -KILL $pid 2>/dev/null
    wait $pid 2>/dev/null
    runs=$((runs + 1))
done
check 'resume after being killed' 0 'best is epoch' "${train[@]}" --backend "$backend" --out killed --resume
same whole/last.safetensors killed/last.safetensors || fail 'a killed training ends with other parameters'

# The device is lost, in the second epoch.
check 'a lost device' 3 "$backend" "${train[@]}" --backend "$backend" --out lost --device-option fail_after=60
check 'its last checkpoint' 0 'popularity' "$m" evaluate lost --checkpoint lost/last.safetensors --backend "$backend"
check 'resume after the loss' 0 'best is epoch' "${train[@]}" --backend "$backend" --out lost --resume
same whole/last.safetensors lost/last.safetensors || fail 'a training that lost its device ends with other parameters'

# A checkpoint moves.
other=cpu
[ "$backend" != cpu ] || other=reference
check 'there' 3 lost "${train[@]}" --backend "$backend" --out moved --device-option fail_after=12
check 'and on' 0 'best is epoch' "${train[@]}" --backend $other --out moved --resume
check 'evaluated there' 0 'popularity' "$m" evaluate moved --backend "$backend"
check 'back' 3 lost "${train[@]}" --backend $other --out back --device-option fail_after=12
check 'and on here' 0 'best is epoch' "${train[@]}" --backend "$backend" --out back --resume
check 'evaluated elsewhere' 0 'popularity' "$m" evaluate back --backend $other

check 'a trace' 0 'best is epoch' "${train[@]}" --backend "$backend" --out traced --set epochs=1 --profile trace.json
grep -q "\"device\":\"$backend:0\"" trace.json || fail 'the trace lacks nodes'
check 'too little memory says what would fit' 3 'would fit' "${train[@]}" --backend "$backend" --out small \
    --set batch=512 --device-option memory=5000000

# Tuning, with a cache of its own: other choices may give other bits, which the tests beside this one would notice.
# Software devices for Vulkan compile for minutes, so one interface stands for both.
if [ "$backend" = opencl ]; then
    printf '%s\n' 'width: 8' 'heads: 1' 'items: 20' 'length: 4' 'batch: 4' 'eval_batch: 4' 'expert: pool' \
        'behavior_denoise: false' 'modality_denoise: false' >tiny.yaml
    tune=(env XDG_CACHE_HOME="$folder/cache" "$m" tune tiny.yaml --json --backend opencl --device-option clblast=no)
    said=$("${tune[@]}" 2>&1)
    grep -qE '"classes": [1-9][0-9]*, "measured": [1-9]' <<<"$said" || fail "tuning: $said"
    [ -s "$(sed 's/.*"file": "\([^"]*\)".*/\1/' <<<"$said")" ] || fail "no tuning file: $said"
    check 'what is known is not measured again' 0 '"measured": 0' "${tune[@]}"
fi

# What a step of the case for figures asks of Vulkan: no more than it did, and many dispatches without a barrier.
if [ "$backend" = vulkan ]; then
    said=$("$m" graph "$SOURCE_DIR/tools/bench/case-s.yaml" --backend vulkan 2>&1)
    numbers=$(sed -nE 's/.* ([0-9]+) dispatches, ([0-9]+) barriers, ([0-9]+) submission.*/\1 \2 \3/p' <<<"$said" | head -n 1)
    read -r dispatches barriers submissions <<<"${numbers:-0 0 0}"
    [ "$dispatches" -gt 0 ] && [ "$dispatches" -le 420 ] && [ "$barriers" -le 200 ] && [ "$submissions" -le 3 ] ||
        fail "case S: $dispatches dispatches, $barriers barriers, $submissions submissions"
    # In 16 bits no casts stand around the kernels.
    said=$("$m" graph "$SOURCE_DIR/tools/bench/case-s.yaml" --backend vulkan --set precision=bf16 2>&1)
    moved=$(sed -nE 's/memory traffic of a run: ([0-9]+) bytes.*/\1/p' <<<"$said")
    [ "${moved:-0}" -gt 0 ] && [ "$moved" -le 2600000000 ] || fail "case S in bf16 moves ${moved:-no} bytes"
fi

exit $((failures > 0))
