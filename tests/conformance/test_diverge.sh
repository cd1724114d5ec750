#!/bin/bash
# m3bsr diverge names the op whose values leave their bound first, on a backend with planted faults (faulty/).
source "$(dirname "$0")/../support/script.sh"
[ -e "$FAULTY_DIR/m3bsr_backend_faulty.so" ] || { echo 'skipped: there is no backend cpu to be wrong with'; exit 77; }
d=("$M3BSR" diverge --plugin-path "$FAULTY_DIR" --backend faulty --threads 1
    --set behaviors=2 --set 'modalities=[5]' --set items=40 --set width=8 --set length=5 --set batch=3)
of() { env M3BSR_FAULT="$1" "${d[@]}" "${@:2}"; }

check 'a right device agrees' 0 'agrees with reference:0:' of none
check 'with experts of another kind' 0 'and the step with its passes' of none --set expert=mingru --set loss=sampled --set trend=10
check 'a wrong norm' 1 ': layer_norm in ' of layer_norm_scale
check 'it is wrong alone, too' 1 'alone, over the operands of reference:0, the op is as wrong' of layer_norm_scale
check 'a wrong attention' 1 ': attention in ' of attention_scale
"$M3BSR" data synth --out "$folder/source" --users 60 --items 50 --clusters 4 --width 8 >/dev/null 2>&1 &&
    "$M3BSR" data import "$folder/source" --out "$folder/set" >/dev/null 2>&1 || fail 'a set'
printf '%s\n' "data: $folder/set" 'width: 8' 'length: 5' 'batch: 3' >"$folder/c.yaml"
check 'a configuration that names its data' 0 'agrees with' env M3BSR_FAULT=none "$M3BSR" diverge "$folder/c.yaml" \
    --plugin-path "$FAULTY_DIR" --backend faulty
check 'as JSON' 1 '"diverges": "op"' of attention_scale --json
check 'against another device' 1 'differs from cpu:0 from node' of attention_scale --against cpu --plugin-path "$FAULTY_DIR:$PLUGIN_DIR"
check 'a device that is not there' 2 "there is no device 'nowhere'" of none --against nowhere
check 'a wrong key' 2 'widht' of none --set widht=8
[ "$failures" -eq 0 ]
