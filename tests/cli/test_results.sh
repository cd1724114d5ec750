#!/bin/bash
# tools/results/run on a tiny table: what it makes, that nothing is made twice, that an interrupted table goes on, what
# it ranks on the test split, and its statistics against known values.
# Labels: release
source "$(dirname "$0")/../support/script.sh"
export PYTHONDONTWRITEBYTECODE=1
python3 -c '' 2>/dev/null || { echo 'there is no python3'; exit 77; }
results=$SOURCE_DIR/tools/results
cd "$folder" || exit 1

# Statistics: t from a table (NIST), and an interval by hand: differences 1, 2, 3 have mean 2 and deviation 1.
python3 - "$results" <<'END' || fail 'statistics'
import math, sys
sys.path.insert(0, sys.argv[1])
import figures
known = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 9: 2.262, 30: 2.042, 100: 1.984}
for freedom, wanted in known.items():
    assert abs(figures.t_quantile(0.95, freedom) - wanted) < 5e-4, freedom
assert abs(figures.t_quantile(0.99, 7) - 3.499) < 5e-4 and figures.t_quantile(0, 4) < 1e-9
assert figures.deviation([3.0]) is None and abs(figures.deviation([1, 2, 3, 4]) - math.sqrt(5 / 3)) < 1e-12
pair = figures.paired([2, 4, 6], [1, 2, 3])
assert pair.count == 3 and pair.difference == 2 and abs(pair.half - 4.302653 / math.sqrt(3)) < 1e-6
assert figures.paired([2], [1]) == (1, 1, None)
END

cat >t.yaml <<'END'
data: nowhere.set   # the table gives its own
width: 8
heads: 2
expert: pool
length: 5
epochs: 2
batch: 32
diffusion_steps: 8
infer_start: 4
END
cat >t.ini <<'END'
[table]
title = Tiny
settings = t.yaml
metrics = hr@10, ndcg@10
seeds = 1,2
choose_seeds = 1
pairs =
    whole against tuned
    whole against popularity
truth =
    noise removed = features.-1.noisy.removed
    nothing = there.is.none
[short]
seeds = 3
set = epochs=1
[part clean]
noise = 0
title = No noise
[part noisy]
noise = 0.3
[data all]
synth = --users 40 --items 40 --clusters 3 --width 4 --accidental {noise} --feature-noise {noise}
[data target]
synth = --users 40 --items 40 --clusters 3 --width 4 --accidental {noise} --feature-noise {noise}
options = --behaviors buy
candidates = view, buy
[row popularity]
baseline = popularity
[row itemknn]
baseline = itemknn
parts = noisy
[row tuned]
about = the target alone
parts = noisy
data = target
set = features=[]
grid =
    lr=0.01
    lr=0.0001
[row whole]
about = as it is
END
run() { "$results/run" t.ini --work work --jobs 2 --backend cpu "$@"; }
lines() { wc -l <t.tries.jsonl; }

# 3 baselines; whole 2 x 2; tuned: 2 alternatives, then the test split for seed 1 of the better one, and its seed 2.
check 'what would be made' 0 '9 tries' run --dry-run
[ ! -e t.tries.jsonl ] || fail 'a dry run wrote a log'
check 'a table' 0 'wrote t.md' run
[ "$(lines)" = 11 ] || fail "the log has $(lines) lines, not 11"
cp t.md before
for text in '# Tiny' '## No noise' '## noisy' '| noise removed | nothing |' 'ranked 6 times for 7 trainings' \
    '| popularity |' '`lr=0.0001` 0.' '| whole | popularity | '; do
    grep -qF -- "$text" t.md || fail "the table lacks '$text': $(cat t.md)"
done
grep -q '^| whole | as it is | 0\.[0-9]* ± 0\.[0-9]* |.*| 2 | [0-9]* | [0-9]* |$' t.md ||
    fail "the row of whole: $(cat t.md)"
check 'nothing is made twice' 0 'wrote t.md' run
cmp t.md before || fail 'a second call changes the table'
[ "$(lines)" = 11 ] || fail 'a second call tries something again'
check 'the table from the log' 0 'wrote t.md' run --table-only
cmp t.md before || fail 'the table from the log is another one'
[ -z "$(ls work/runs 2>/dev/null)" ] || fail 'runs are left over'

# The log: figures of the runs, the alternative that was not chosen was never ranked, everything once.
python3 - <<'END' || fail 'the log is not what it should be'
import json
import os
lines = [json.loads(line) for line in open("t.tries.jsonl")]
tuned = [line for line in lines if line["row"] == "tuned"]
best = max((line for line in tuned if line["seed"] == 1), key=lambda line: line["valid"]["ndcg@10"])["set"]
assert {line["step"] for line in tuned if line["set"] == best} == {"train", "test", "train and test"}
assert all("test" not in line for line in tuned if line["set"] != best)
assert len({(line["settings"], line["checksum"], line["seed"]) for line in lines if "test" in line}) == \
    sum("test" in line for line in lines) == 9
assert all(line["mib"] > 1 and line["seconds"] > 0 and line["cpu"] > 0 and line["device"] == "cpu:0" for line in lines if line["seed"])
assert {line["size"]["items"] for line in lines} == {40}
noisy = [line["truth"] for line in lines if line["part"] == "noisy" and line["row"] == "whole"]
assert all(os.getcwd() not in json.dumps(line) for line in lines)
assert len(noisy) == 2 and all(one["features"][-1]["noisy"]["removed"] is not None for one in noisy)
END
"$M3BSR" data synth --out source --users 40 --items 40 --clusters 3 --width 4 --accidental 0 --feature-noise 0 -q >said &&
    "$M3BSR" data import source --out set -q >said &&
    "$M3BSR" train t.yaml --set data=set --seed 2 --out one --backend cpu -q >said &&
    "$M3BSR" evaluate one --backend cpu --json >said || fail 'a training by hand'
python3 - <<'END' || fail 'a try is not the training that its line says'
import json
wanted = json.load(open("said"))["full"][0]["model"]
assert any(line.get("test") == wanted for line in map(json.loads, open("t.tries.jsonl")) if line["seed"] == 2)
END

# Interrupted in the middle, and killed while it wrote a line.
cp t.tries.jsonl kept
first_tries() { [ "$(lines)" -ge 13 ]; }
for _ in 1 2 3; do # after the last try nothing is interrupted
    interrupt TERM 'cp kept t.tries.jsonl' first_tries "$results/run" t.ini --work work --backend cpu --jobs 1 --rows whole \
        --seeds 11,12,13,14,15,16
    [ "$(lines)" -lt 23 ] && break
done
[ $status = 130 ] || fail "an interrupted table ends with $status instead of 130: $(cat said)"
[ "$(lines)" -lt 23 ] || fail 'nothing was interrupted'
printf '{"table": "t", "par' >>t.tries.jsonl
check 'a line that was cut short is left out' 0 'is no line of a try' run --rows whole --seeds 11,12,13,14,15,16
python3 - <<'END' || fail 'an interrupted table was not continued as it should be'
import collections, json
seen = collections.Counter()
for text in open("t.tries.jsonl"):
    if text.endswith("}\n"):
        line = json.loads(text)
        if line["row"] == "whole" and line["seed"] > 10:
            seen[line["part"], line["seed"]] += 1
assert len(seen) == 12 and set(seen.values()) == {1}, seen
END
check 'other seeds are in the table' 0 'Seeds 11, 12' cat t.md
check 'fresh tries' 0 '2 tries' run --rows whole --seeds 1 --fresh
run >said 2>&1
grep -q 'wrote t.md' said || fail "the table of all: $(cat said)"

check 'a short trial' 0 'wrote work/short/t.md' run --short --rows whole
grep -q '| 1 |' work/short/t.md || fail 'a short trial has one seed here'

# What is described wrongly.
wrong() { # NAME SAYS SED...
    local name=$1 says=$2
    shift 2
    sed "$@" t.ini >wrong.ini
    check "$name" 2 "$says" "$results/run" wrong.ini --work wrong
}
wrong 'an unknown key' "has no key 'metrik'" 's/^metrics/metrik/'
wrong 'an unknown section' '[rows] is no section' '$a[rows]'
wrong 'a pair of no row' "'whole against none' is no pair" 's/whole against tuned/whole against none/'
wrong 'a metric that is none' "no metric 'hr@11'" 's/^metrics = hr@10/metrics = hr@11/'
wrong 'settings that are none' "cannot set 'features'" 's/^set = features=\[\]/set = features/'
wrong 'a seed as a setting' "cannot set 'seed=4'" 's/^set = features=\[\]/set = seed=4/'
wrong 'seeds that are none' "'a,b' is no list of seeds" 's/^seeds = 1,2/seeds = a,b/'
wrong 'other candidates' 'candidates' '/^candidates/d; s/--items 40/--items 200/'
wrong 'a data set that synth refuses' 'users' 's/--users 40/--users none/'
wrong 'an import without a folder' '--data' 's/^synth = .*/import = nowhere/'
# A default that changed since the log was written.
sed 's/"router": "normed"/"router": "hardmax"/' t.tries.jsonl >u.tries.jsonl
sed 's/^title = Tiny/title = Other/' t.ini >u.ini
check 'tries under another default are made anew' 0 '6 tries' "$results/run" u.ini --work work --dry-run
check 'and not shown' 0 'with router=hardmax, a default that is normed now' "$results/run" u.ini --work work --table-only
check 'an unknown table' 2 'movielens' "$results/run" nothing
check 'a key that no part has' 2 "has no key 'nose'" run --define nose=1
check 'a definition that is none' 2 "--define cannot be 'noise'" run --define noise
check 'another value of a part' 0 '5 tries' run --define noise=0.1 --rows popularity,itemknn,whole --dry-run --seeds 1
check 'an unknown row' 2 "no row 'hole'" run --rows hole

# A training that fails loses against the other alternative, and is told.
sed 's/lr=0.01$/expert=none/' t.ini >fails.ini
check 'a training that fails' 1 'failed: ' "$results/run" fails.ini --work fails --backend cpu --rows tuned --seeds 1
grep -qF '`expert=none` failed, `lr=0.0001` 0.' fails*d || fail "the failed alternative: $(cat fails*d)"
grep -qF '(1 failed)' fails*d || fail 'a failed training is not counted'
check 'it is not tried again' 0 '0 tries' "$results/run" fails.ini --work fails --rows tuned --seeds 1 --dry-run

for one in "$results"/*.ini; do
    python3 - "$results" "$one" <<'END' || fail "$one cannot be read"
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import description, tries
table = description.read(Path(sys.argv[2]), {})
assert tries.base_settings(table) and len(table.parts[0].rows) > 3
END
done
[ "$failures" -eq 0 ]
