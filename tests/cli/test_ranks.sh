#!/bin/bash
# One model by several ranks, from the outside: devices of one process, and processes under mpirun. Ranks with a batch
# each give the bits of one that accumulates them; who fails, hangs or is killed ends all, and the checkpoint is whole.
source "$(dirname "$0")/../support/script.sh"

cd "$folder" || exit 1
m=$M3BSR
"$m" data synth --out source --users 120 --items 60 --clusters 4 --width 8 >said 2>&1 &&
    "$m" data import source --out set >said 2>&1 || { cat said; exit 1; }
printf '%s\n' 'data: set' 'width: 8' 'heads: 2' 'expert: pool' 'expert_layers: 1' 'length: 6' 'batch: 16' 'epochs: 2' \
    'lr: 0.003' 'dropout: 0.1' >config.yaml

# Devices of one process.

"$m" train config.yaml --out alone --threads 1 --set accumulate=3 -q >said 2>&1 || fail "alone: $(cat said)"
check 'three devices' 0 '3 ranks (cpu:0, cpu:0, cpu:0): a step takes 3 batches of 16 samples' \
    "$m" train config.yaml --out three --devices cpu,cpu,cpu --threads 3
same alone/last.safetensors three/last.safetensors || fail 'three ranks are not one that accumulates three batches'
grep -q '"waited":\[' three/log.jsonl || fail 'the log has no waiting times'
if command -v script >/dev/null; then # the bar, which a terminal alone sees
    script -qec "'$m' train config.yaml --out shown --devices cpu,cpu --threads 2 --profile shown.json" /dev/null >said 2>&1
    grep -qE 'samples/s  waits [0-9]+, [0-9]+ %' said || fail "the bar has no waiting times: $(cat said)"
    grep -q '"rank 1: cpu:0"' shown.json || fail 'the trace has no track of rank 1'
fi
check 'a list of one' 0 'best is epoch' "$m" train config.yaml --out one --devices cpu --set accumulate=3
same alone/last.safetensors one/last.safetensors || fail 'a list of one device is not that device'
check 'devices twice' 2 'give one of them' "$m" train config.yaml --out no --devices cpu,cpu --backend cpu
check 'no such device' 2 "there is no device 'nothing'" "$m" train config.yaml --out no --devices cpu,nothing
check 'no such option' 2 'depth' "$m" train config.yaml --out no --devices cpu,cpu --device-option depth=3
check 'no such plugin' 2 'nothing' "$m" train config.yaml --out no --devices cpu,cpu --collectives nothing
check 'a run is not overwritten' 2 '--resume' "$m" train config.yaml --out three --devices cpu,cpu
[ ! -e no ] || fail 'a training that did not begin left a folder'

# A rank that compiles for long is waited for before the first epoch, which is therefore not longer.
if [ -e "$BUILD_DIR/tests/late/m3bsr_backend_late.so" ]; then
    mkdir -m 755 late && cp "$BUILD_DIR/tests/late/m3bsr_backend_late.so" late/
    check 'a device that is late' 0 'best is epoch' env LATE_COMPILE=500 "$m" train config.yaml --out late_run --devices cpu,late \
        --threads 2 --set epochs=1 --plugin-path "$folder/late"
    sed -n 's/.*"event":"epoch".*"waited":\[\([0-9.e-]*\),.*"seconds":\([0-9.e-]*\).*/\1 \2/p' late_run/log.jsonl |
        awk '{ lines++; if ($1 > $2) wrong = 1 } END { exit !(lines == 1 && !wrong) }' ||
        fail "rank 0 waited for longer than its epoch took: $(cat late_run/log.jsonl)"
fi

# A device fails, or hangs: its rank ends all.
if [ -e "$FAULTY_DIR/m3bsr_backend_faulty.so" ]; then
    bad=(--devices cpu,faulty,cpu --threads 3 --plugin-path "$FAULTY_DIR")
    check 'a device alone fails without a word' 3 'did not say what' env M3BSR_FAULT=fail_run "$m" train config.yaml --out alone_bad \
        --backend faulty --plugin-path "$FAULTY_DIR"
    cp -r three went_on
    check 'a device fails' 3 'rank 1' env M3BSR_FAULT=fail_run "$m" train config.yaml --out went_on --resume --set epochs=3 "${bad[@]}"
    same three/last.safetensors went_on/last.safetensors || fail 'a failing device changed the checkpoint'
    check_limit 'a device hangs' 3 'device faulty:0' env M3BSR_FAULT=hang_any timeout 300 "$m" train config.yaml --out went_on --resume \
        --set epochs=3 "${bad[@]}" --rank-limit TWICE
    same three/last.safetensors went_on/last.safetensors || fail 'a hanging device changed the checkpoint'
    # Rows of the next step may be on their way then.
    shards=(--set loss=sampled --set negatives=4 --set batch=2 --set shard=rows --set lazy=on)
    check 'a device fails, with shards' 3 'rank 1' env M3BSR_FAULT=fail_run "$m" train config.yaml --out shards_bad "${shards[@]}" "${bad[@]}"
    check_limit 'a device hangs, with shards' 3 'device faulty:0' env M3BSR_FAULT=hang_any timeout 300 "$m" train config.yaml \
        --out shards_hung_LIMIT "${shards[@]}" "${bad[@]}" --rank-limit LIMIT
    check 'after both it goes on' 0 'best is epoch' "$m" train config.yaml --out went_on --resume --set epochs=3 --devices cpu,cpu
fi

# Ctrl-C. The log grows as epochs end.
has_epoch() { grep -qs '"event":"epoch"' "$1/log.jsonl"; }
many=(--set epochs=100000 --set patience=100000) # what shall be stopped must not end by itself before it is
interrupt INT 'rm -rf long' 'has_epoch long' "$m" train config.yaml --out long --devices cpu,cpu,cpu --threads 3 "${many[@]}"
[ $status = 130 ] && grep -qF -- '--resume' said || fail "Ctrl-C: status $status: $(cat said)"

# Processes. MPI keeps memory to the end, which a sanitizer would report.
if [ -n "$SANITIZE" ]; then
    echo 'left out: processes, under a sanitizer'
    [ $failures = 0 ]
    exit
fi

if ! command -v mpirun >/dev/null || ! "$m" plugins 2>/dev/null | grep -q 'loaded.*mpi '; then
    echo 'left out: mpirun, or the plugin mpi, is not here'
    [ $failures = 0 ]
    exit
fi
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
run() { mpirun --oversubscribe -n "$@"; }

check '4 processes' 0 '4 ranks (cpu:0, cpu:0, cpu:0, cpu:0): a step takes 4 batches' run 4 "$m" train config.yaml --out four --threads 1
check 'shards in 3 processes' 0 'each rank keeps' run 3 "$m" train config.yaml --out shards --threads 1 --set loss=sampled \
    --set negatives=4 --set batch=2 --set shard=rows
check 'they go on in 2' 0 'best is epoch' run 2 "$m" train shards/settings.yaml --out shards --threads 1 --resume --set epochs=3
check 'and alone' 0 'best is epoch' "$m" train shards/settings.yaml --out shards --threads 1 --resume --set epochs=4
"$m" train config.yaml --out alone4 --threads 1 --set accumulate=4 -q >said 2>&1 || fail "alone: $(cat said)"
same alone4/last.safetensors four/last.safetensors || fail 'four processes are not one that accumulates four batches'
check 'devices without a rank' 0 'warning: --devices names 3, and there is 1 rank: cpu, reference are not used' \
    "$m" train config.yaml --out lone --devices cpu,cpu,reference --collectives mpi --set epochs=1
check '2 processes' 0 'epoch 2' run 2 "$m" train config.yaml --out two --threads 1
check 'other settings' 2 'lr' mpirun --oversubscribe -n 1 "$m" train config.yaml --out differ : -n 1 "$m" train config.yaml --out differ --set lr=0.004
"$m" data synth --out source2 --users 120 --items 60 --clusters 4 --width 8 --seed 2 >said 2>&1 &&
    "$m" data import source2 --out set2 >said 2>&1 || fail "another set: $(cat said)"
check 'other data' 2 'the ranks differ in data set' mpirun --oversubscribe -n 1 "$m" train config.yaml --out differ : -n 1 "$m" train config.yaml --out differ --set data=set2
check 'devices in turn' 0 'cpu:0, reference:0' run 2 "$m" train config.yaml --out turns --devices cpu,reference --set epochs=1

# A link, for plans.
check 'a link' 0 '"latency_s"' run 2 "$m" bench --what link --json
run 2 "$m" bench --what link --json >link.json 2>said || fail "a link: $(cat said)"
check 'a plan over it' 0 'between ranks' "$m" plan config.yaml --ranks 2 --link link.json --device h200

# One is killed: all end, and three go on from what was saved.
run 4 "$m" train config.yaml --out "$folder/killed" --threads 1 "${many[@]}" --set checkpoint_steps=1 >said 2>&1 &
pid=$!
wait_until $pid has_epoch killed
victim=$(pgrep -n -f "train config.yaml --out $folder/killed") # mpirun came before its processes
kill -KILL "$victim"
began=$SECONDS
wait $pid
status=$?
[ $status != 0 ] || fail 'a killed rank went unnoticed'
[ $((SECONDS - began)) -lt 60 ] || fail 'the others did not end with the one that was killed'
# It ends soon: what was saved says how far it is.
done_epochs=$(grep -c '"event":"epoch"' killed/log.jsonl)
check 'three go on' 0 'best is epoch' run 3 "$m" train config.yaml --out killed --resume --threads 1 --set epochs=$((done_epochs + 1))

# Open MPI asks its processes, and kills them a while later, whether they have ended or not.
for grace in 1 5 25; do
    export OMPI_MCA_odls_base_sigkill_timeout=$grace
    interrupt TERM 'rm -rf asked' 'has_epoch asked' mpirun --oversubscribe -n 2 "$m" train config.yaml --out asked --threads 1 "${many[@]}" \
        --set loss=sampled --set negatives=4 --set batch=4 --set shard=rows --set lazy=on # rows of the next step are on their way
    grep -qF -- '--resume' said && break
done
grep -qF -- '--resume' said || fail "SIGTERM on mpirun: $(cat said)"
done_epochs=$(grep -c '"event":"epoch"' asked/log.jsonl)
check 'it goes on' 0 'best is epoch' run 2 "$m" train asked/settings.yaml --out asked --resume --threads 1 --set epochs=$((done_epochs + 1))

[ $failures = 0 ]
