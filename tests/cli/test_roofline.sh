#!/bin/bash
# bench --roofline: rates of the device, three tables by falling loss, and the floor of a run, in f32 and in 16 bits; plan
# takes them.
# Parts: cpu opencl
source "$(dirname "$0")/../support/script.sh"
backend=${1:?usage: test_roofline.sh BACKEND}
"$M3BSR" devices 2>/dev/null | grep -q "^$backend:" || { echo "skipped: no $backend device here" && exit 77; }
small=(--set width=8 --set heads=1 --set items=40 --set expert=pool --set length=5 --set batch=4 --what infer --repeats 1)

# tables FILE: in every table of it the column "lost ms", the fifth from the end, falls, but for the row others
tables() {
    awk '/ lost ms / { tables++; last = 1e9; next }
         tables && NF == 0 { next }
         /^a run / { exit }
         $1 == "others" { next }
         tables { rows++; if ($(NF - 4) > last) wrong = 1; last = $(NF - 4) }
         END { exit !(tables == 3 && rows > 20 && !wrong) }' "$1"
}

for precision in f32 bf16; do
    said=$folder/$precision
    "$M3BSR" bench --backend "$backend" "${small[@]}" --set "precision=$precision" --roofline >"$said" 2>&1 || fail "$precision: $(cat "$said")"
    grep -qE 'measured: a copy [0-9.]+ GB/s, fused multiply-adds [0-9.]+ GFLOP/s, a product [0-9.]+ GFLOP/s' "$said" || fail "$precision has no rates: $(cat "$said")"
    grep -qE '^a run [0-9.]+ ms, its nodes [0-9.]+ ms, their floors [0-9.]+ ms = [0-9.]+ % of the run$' "$said" || fail "$precision has no floor: $(cat "$said")"
    tables "$said" || fail "$precision: the tables are not three by falling loss: $(cat "$said")"
done
grep -q 'in 16 bits' "$folder/bf16" || fail "a product in bf16 was not measured: $(cat "$folder/bf16")"
grep -q 'in 16 bits' "$folder/f32" && fail "a product in bf16 was measured for f32: $(cat "$folder/f32")"

# One rank that does what was measured takes what that took.
step=("${small[@]/infer/step}")
"$M3BSR" bench --backend "$backend" "${step[@]}" --roofline --json >"$folder/bench.json" 2>&1 || fail "as JSON: $(cat "$folder/bench.json")"
plan=(plan --backend "$backend" --device "$folder/bench.json" "${step[@]:0:12}")
"$M3BSR" "${plan[@]}" --json >"$folder/plan.json" 2>&1 || fail "plan: $(cat "$folder/plan.json")"
python3 - "$folder" <<'END' || fail 'the plan of one rank is not what was measured'
import json, sys
bench, plan = (json.load(open(sys.argv[1] + name)) for name in ('/bench.json', '/plan.json'))
share = bench['host_share'] or 0
assert abs(plan['step_s'] / bench['median_s'] - 1) < 0.05, (plan['step_s'], bench['median_s'])
assert abs(plan['seconds']['runs'] / plan['step_s'] - share) < 0.05, (plan, share)
assert plan['measured'] and plan['flops'] == bench['flops'] and plan['sent_bytes'] == 0
END
check 'a plan of two' 0 'from figures that were measured' "$M3BSR" "${plan[@]}" --ranks 2 --link 1e9
[ $failures -eq 0 ]
