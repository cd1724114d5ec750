#!/bin/bash
# Random configurations of the model agree with the reference, on each backend.
# Labels: whole
# Parts: cpu opencl vulkan
source "$(dirname "$0")/../support/script.sh"
part=$1 count=3
[ "$part" = cpu ] && count=30
"$M3BSR" devices --json 2>/dev/null | grep -q "\"$part:0\"" || { echo "skipped: there is no device $part"; exit 77; }
m=("$M3BSR" conformance --backend "$part")
check 'configurations agree' 0 "model on $part:0: $count random configurations" "${m[@]}" --layer model --random "$count" --timeout 600
[ "$part" = cpu ] || exit $((failures > 0))

check 'without a number there are some' 0 ': 20 random configurations' "${m[@]}" --layer model
check 'one by its name' 0 ': 1 random configurations' "${m[@]}" --random 20 --cases random.17
check 'some by a pattern' 0 ': 3 random configurations' "${m[@]}" --random 13 --cases 'random.1[0-2]'
check 'none of that name' 2 'matches none of the 20 random configurations' "${m[@]}" --random 20 --cases random.20
check 'in this process' 0 '2 pass, 0 fail' "${m[@]}" --random 2 --in-process
check 'as JSON' 0 '{"layer": "model", "cases": []' "${m[@]}" --random 2 --json
check 'for another layer' 2 'random configurations are for --layer model' "${m[@]}" --layer ops --random 2
check 'what the device lacks' 1 'lacks random.0' "$M3BSR" conformance --backend reference --device-option refuse=exp --strict \
    --random 1
exit $((failures > 0))
