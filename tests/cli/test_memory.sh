#!/bin/bash
# Memory that runs out, at one request or from one on, anywhere in a command: status 3 and a message that says so, or
# the same result as ever where the request was for nothing that is needed. Never a wrong input, a missing device, a
# wrong result or a temporary file.
# Labels: release
source "$(dirname "$0")/../support/script.sh"
scarce=${INTERPOSE_DIR:-}/scarce.so
[ -e "$scarce" ] || { echo 'skipped: nothing stands between the tool and its memory here'; exit 77; }
export OCL_ICD_VENDORS=$folder/none VK_DRIVER_FILES=$folder/none VK_ICD_FILENAMES=$folder/none # drivers have no statuses
cd "$folder" || exit 1
m=$M3BSR
"$m" data synth --out source --users 30 --items 30 --clusters 3 --width 4 >said 2>&1 || fail "a source: $(cat said)"
"$m" data import source --out set >said 2>&1 || fail "a set: $(cat said)"
printf '%s\n' 'data: set' 'width: 8' 'heads: 1' 'length: 4' 'batch: 16' 'epochs: 1' 'expert_layers: 1' >config.yaml
"$m" train config.yaml --out run --backend cpu -q >said 2>&1 || fail "a run: $(cat said)"
"$m" conformance --backend cpu --layer ops --cases 'softmax*' --report page.html -q >said 2>&1 || fail "a page: $(cat said)"
printf 'user_id\titem_id\tbehavior\ttimestamp\nnew\ti1\tview\t5\nnew\ti2\tbuy\t6\n' >history.tsv

# What a command says beside times and free memory.
plain() { sed -E 's/[0-9.]+ GiB, [0-9.]+ free|[0-9]+:[0-9]+|out[0-9]*/N/g' "$1"; }

# walk NAME ARGUMENT...: requests 0, 1, 2, ... of the command fail, with growing steps, until it has no more; OUT is a new
# place for what it writes
walk() {
    local name=$1 wanted status n=0 count=0 out=out
    shift
    wanted=$("$m" "${@//OUT/$out}" 2>/dev/null | plain /dev/stdin; exit "${PIPESTATUS[0]}")
    local usual=$?
    while :; do
        out=out$n
        rm -f told
        LD_PRELOAD=$scarce SCARCE_AT=$n SCARCE_TOLD=$folder/told "$m" "${@//OUT/$out}" >printed 2>said </dev/null
        status=$?
        [ -e told ] || break
        if [ $status = 3 ]; then
            grep -qiE 'memory|could not allocate' said || fail "$name, request $n ($(head -n 1 told)): $(cat said)"
        elif [ $status != $usual ] || [ "$(plain printed)" != "$wanted" ]; then
            fail "$name, request $n ($(head -n 1 told)): status $status instead of 3 or $usual: $(cat said printed)"
        fi
        [ ! -d "$out" ] || [ -z "$(find "$out" -name '*.tmp*')" ] || fail "$name, request $n: a temporary file is left"
        rm -rf "$out"
        n=$((n + 1 + n / 5))
        count=$((count + 1))
    done
    rm -rf out
    [ $count -gt 3 ] || fail "$name: $count requests only"
    printf '%-10s %3d failures up to request %d\n' "$name" $count "$n"
}

walk devices devices
walk plugins plugins
walk train train config.yaml --out OUT --backend cpu --threads 1 -q
walk evaluate evaluate run --backend cpu --threads 1
walk recommend recommend run --history history.tsv --backend cpu --threads 1 --top 2
walk verify conformance verify page.html
walk import data import source --out OUT
exit $((failures > 0))
