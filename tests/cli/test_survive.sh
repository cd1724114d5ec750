#!/bin/bash
# What a plugin may do to a command: one that crashes, exits or hangs is named and takes nothing else down, and a device
# that does not come back is named while it is waited for.
source "$(dirname "$0")/../support/script.sh"
[ -e "$FAULTY_DIR/m3bsr_backend_faulty.so" ] || { echo 'skipped: there is no backend cpu to be wrong with'; exit 77; }
m=$M3BSR
export OCL_ICD_VENDORS=$folder/none VK_DRIVER_FILES=$folder/none VK_ICD_FILENAMES=$folder/none # quick
plugins=$folder/plugins
mkdir -m 755 "$plugins"
cp "$FAULTY_DIR/m3bsr_backend_faulty.so" "$plugins/"
head -c 3000 "$FAULTY_DIR/m3bsr_backend_faulty.so" >"$plugins/cut.so"
faulty=$plugins/m3bsr_backend_faulty.so

check 'nothing is wrong' 0 "loaded   backend     faulty" "$m" plugins --plugin-path "$plugins"
check 'a cut file is skipped' 0 'because: it is cut short: 3000 of at least' "$m" plugins --plugin-path "$plugins"
check 'a crash while it loads' 0 'because: the process was killed by SIGSEGV (Segmentation fault); its last words: faulty: going down, while it was loaded' \
    env M3BSR_FAULT=load_segfault "$m" plugins -q --plugin-path "$plugins"
check 'the others are there' 0 'loaded   backend     cpu' env M3BSR_FAULT=load_segfault "$m" plugins -q --plugin-path "$plugins"
check 'it is said before' 0 "plugin $faulty is opened" "$m" plugins -v --plugin-path "$plugins"

while IFS='|' read -r fault says; do
    check_limit "$fault is named" 0 "$faulty skipped: $says" env M3BSR_FAULT="$fault" "$m" devices --timeout LIMIT \
        --plugin-path "$plugins"
    check_limit "with $fault there is a cpu" 0 'cpu:0' env M3BSR_FAULT="$fault" "$m" devices --timeout LIMIT --json \
        --plugin-path "$plugins"
done <<'TABLE'
open_segfault|the process was killed by SIGSEGV (Segmentation fault); its last words: faulty: going down, while it was opened
open_exit|the process exited with status 7, while it was opened
open_hang|it did not end within LIMIT seconds; its last words: faulty: hanging, while it was opened
list_segfault|the process was killed by SIGSEGV (Segmentation fault); its last words: faulty: going down, while it was listed
device_segfault|the process was killed by SIGSEGV (Segmentation fault); its last words: faulty: going down, while it was opening a device
TABLE

# A device that does not come back.
cd "$folder" || exit 1
"$m" data synth --out source --users 40 --items 40 --clusters 4 --width 8 >said 2>&1 || fail "a source: $(cat said)"
"$m" data import source --out set >said 2>&1 || fail "a set: $(cat said)"
printf '%s\n' 'data: set' 'width: 8' 'heads: 1' 'length: 4' 'batch: 8' 'epochs: 1' >config.yaml
"$m" train config.yaml --out run --backend cpu -q >said 2>&1 || fail "a run: $(cat said)"

# waits NAME SAYS COMMAND...: it warns of the device that hangs, and Ctrl-C ends it with status 130
waits() {
    local name=$1 says=$2 status pid
    shift 2
    M3BSR_PATIENCE=1 M3BSR_FAULT=${fault:-hang_any} "$@" --plugin-path "$plugins" --backend faulty >said 2>&1 &
    pid=$!
    wait_until $pid grep -q 'faulty: hanging' said
    wait_until $pid grep -q "warning: $says" said || fail "$name names no device: $(cat said)"
    kill -INT $pid
    for _ in $(seq 600); do
        [[ $(cut -d ' ' -f 3 "/proc/$pid/stat" 2>/dev/null) == [!Z] ]] || break
        sleep 0.1
    done
    [[ $(cut -d ' ' -f 3 "/proc/$pid/stat" 2>/dev/null) != [!Z] ]] || fail "$name: it goes on after Ctrl-C"
    kill -KILL $pid 2>/dev/null
    wait $pid 2>/dev/null
    status=$?
    [ $status = 130 ] || fail "$name ends with status $status: $(cat said)"
}
set -m # so that a command in the background hears of Ctrl-C
silent='nothing has come back from device faulty:0'
waits 'training' "$silent" "$m" train config.yaml --out waiting
grep -q 'stopped before the first step' said || fail "a training that has done nothing yet says: $(cat said)"
waits 'recommendation' "$silent" "$m" recommend run --users u1
fault=open_hang waits 'opening' 'device faulty has not opened' "$m" recommend run --users u1

# A limit for what unattended commands wait for.
check_limit 'a device that hangs is left' 3 'error: nothing has come back from device faulty:0 for TWICE seconds' \
    env M3BSR_FAULT=hang_any "$m" train config.yaml --out left_LIMIT --stall LIMIT -q --plugin-path "$plugins" --backend faulty
check_limit 'a device that does not open is left' 3 'error: device faulty has not opened for LIMIT seconds' \
    env M3BSR_FAULT=open_hang "$m" train config.yaml --out left_LIMIT --stall LIMIT -q --plugin-path "$plugins" --backend faulty
# late COMMAND...: backend late, of which runs are slow, are hit by a signal or hang (tests/conformance/faulty/late.c)
mkdir -m 755 "$folder/late"
cp "$BUILD_DIR/tests/late/m3bsr_backend_late.so" "$folder/late/"
late() { env "$@" --plugin-path "$folder/late" --backend late --threads 1; }
"$m" train config.yaml --out whole --backend cpu --threads 1 --set epochs=2 -q >said 2>&1 || fail "a run: $(cat said)"
# The second step is broken off in the middle, as the first was slow: its checkpoint is that of the first.
check 'a signal ends a step that takes long' 130 'stopped in epoch 1 after step 1; all of it is saved' \
    late LATE_SLOW=1 LATE_TERM=2 "$m" train config.yaml --out broken --set epochs=2
check 'it goes on' 0 '2 epochs' "$m" train broken/settings.yaml --out broken --resume --backend cpu --threads 1
same broken/last.safetensors whole/last.safetensors || fail 'it goes on to other bits'
# One that does not come back before it is asked to: it is asked, and what it did is saved.
comes_back() {
    grep -q "error: nothing has come back from device late:0 for $limit seconds, while it runs; should it" said &&
        grep -q 'stopped in epoch 1 after step 3; all of it is saved' said
}
for limit in 1 3 10 30; do
    rm -rf back
    late LATE_HANG=3 "$m" train config.yaml --out back --set epochs=2 --stall $limit -q >said 2>&1
    status=$?
    comes_back && break
done
[ $status = 3 ] || fail "a device that comes back late ends with status $status"
comes_back || fail "of a device that comes back late it says: $(cat said)"
check 'it goes on too' 0 '2 epochs' "$m" train back/settings.yaml --out back --resume --backend cpu --threads 1
same back/last.safetensors whole/last.safetensors || fail 'it goes on to other bits after a stall'
check_limit 'what works is not' 0 '1 epochs' "$m" train config.yaml --out worked_LIMIT --stall LIMIT --plugin-path "$plugins" \
    --backend faulty
exit $((failures > 0))
