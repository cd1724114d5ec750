#!/bin/bash
# The reports of `m3bsr conformance`, and what `m3bsr conformance verify` says of statements: good ones, altered ones,
# and files that are none.
source "$(dirname "$0")/../support/script.sh"
command -v python3 >/dev/null || { echo 'skipped: there is no python3 to read reports with'; exit 77; }
[ -e "$FAULTY_DIR/m3bsr_backend_faulty.so" ] || { echo 'skipped: there is no backend cpu to report on'; exit 77; }
m=$M3BSR
cd "$folder" || exit 1
export OCL_ICD_VENDORS=$folder/none VK_DRIVER_FILES=$folder/none VK_ICD_FILENAMES=$folder/none # quick

# holds NAME PYTHON: an expression over d, a statement, and x, the root of a JUnit file, of report.json and report.xml
holds() {
    python3 - "$2" <<'PYTHON' || fail "$1: not so: $2"
import json, sys, xml.etree.ElementTree
d = json.load(open("report.json", encoding="utf-8"))
x = xml.etree.ElementTree.parse("report.xml").getroot()
row = {r[0]: dict(zip(d["columns"], r)) for rows in d["results"].values() for r in rows}
case = {c.get("name"): c for c in x.iter("testcase")}
sys.exit(not eval(sys.argv[1]))
PYTHON
}
reports=(--report report.json --report report.xml)
faulty() { # FAULT STATUS PATTERN ARGUMENTS...
    local fault=$1 status=$2 pattern=$3
    shift 3
    check "$fault" "$status" "$pattern" env M3BSR_FAULT="$fault" "$m" conformance --plugin-path "$FAULTY_DIR" --backend faulty \
        --threads 1 "$@" "${reports[@]}"
}

check 'an ending that says nothing' 2 'its ending chooses the form: ' "$m" conformance --backend cpu --report report.txt
check 'a place that is not there' 2 'nowhere/report.json: cannot be written' "$m" conformance --backend cpu --report nowhere/report.json
[ -z "$(ls)" ] || fail "something was written: $(ls)"

# What is right.
check 'cases that pass' 0 'pass    ops' "$m" conformance --backend cpu --layer ops --layer gradients --layer model --cases 'add(f32*' \
    --case-seed 7 "${reports[@]}" --vectors "$SOURCE_DIR/tests/vectors/pool.safetensors"
holds 'the statement is partial' 'd["verdict"] == "partial" and "layer modules was not run" in d["because"]'
holds 'a pattern is a reason' "\"only cases that match 'add(f32*' were run\" in d['because']"
holds 'it says on what' 'd["device"]["name"] == "cpu:0" and d["device"]["backend"] == "cpu" and d["device"]["driver"] and d["seed"] == 7'
holds 'its list is the whole one' 'd["list"]["kind"] == "quick" and d["list"]["cases"] > 10000 and len(d["list"]["hash"]) == 32'
holds 'it says which program' 'd["product"] and d["abi"] and d["date"].endswith("Z") and d["ended"] is True'
holds 'layers are counted' '[l["name"] for l in d["layers"]] == ["ops", "gradients", "model"] and all(l["cases"] == l["pass"] == len(d["results"][l["name"]]) > 0 for l in d["layers"])'
holds 'a case has its place' 'row["add(f32[3,1]; f32[1,5])"]["about"] == "add" and row["add(f32[3,1]; f32[1,5])"]["type"] == "f32" and "axis" in row["add(f32[3,1]; f32[1,5])"]["rules"]'
holds 'a vector file has its place' 'row["pool.safetensors"]["verdict"] == "pass" and 0 < row["pool.safetensors"]["share"] < 1'
holds 'a case took time' 'all(r["ms"] >= 0 for r in row.values()) and sum(r["ms"] for r in row.values()) > 0'
holds 'JUnit has as many' 'x.tag == "testsuites" and len(list(x.iter("testcase"))) == int(x.get("tests")) == sum(l["cases"] for l in d["layers"])'
holds 'JUnit has no failure' 'x.get("failures") == x.get("errors") == x.get("skipped") == "0" and not list(x.iter("failure"))'
check 'a partial statement holds and is not conformant' 1 'partial: report.json: layer system was not run' "$m" conformance verify report.json
check 'what it is about is said' 1 'list     quick, version ' "$m" conformance verify report.json

# What is wrong, each in its way.
faulty exp_scale 1 'FAIL  exp(' --layer ops --cases 'exp(f32[7])'
holds 'a failure is one' 'd["verdict"] == "not conformant" and row["exp(f32[7])"]["verdict"] == "fail" and row["exp(f32[7])"]["share"] > 1'
holds 'it says how to repeat it' "\"--cases 'exp(f32[7])'\" in row['exp(f32[7])']['again'] and 'wanted' in row['exp(f32[7])']['text']"
holds 'JUnit has it as a failure' 'x.get("failures") == "1" and "again: " in case["exp(f32[7])"].find("failure").text'
faulty segfault 1 'SIGSEGV' --layer ops --cases 'exp(f32[7])'
holds 'a crash is one' 'row["exp(f32[7])"]["verdict"] == "crash" and case["exp(f32[7])"].find("error").get("type") == "crash"'
check_limit hang 1 'matmul(f32[1,1]; f32[1,1]) 0; 0: it did not end within' env M3BSR_FAULT=hang "$m" conformance --plugin-path "$FAULTY_DIR" \
    --backend faulty --threads 1 --layer ops --cases 'matmul(f32[1,1]; f32[1,1]) 0; 0' --timeout LIMIT "${reports[@]}"
holds 'a hang is one' 'list(row.values())[0]["verdict"] == "timeout" and x.get("errors") == "1" and d["layers"][0]["timeout"] == 1'
faulty open_segfault 3 'could not be opened' --layer ops
holds 'no device is a failure too' 'd["verdict"] == "not conformant" and row["opening the device"]["verdict"] == "fail" and d["device"]["name"] == "faulty"'
M3BSR_FAULT=hang "$m" conformance --plugin-path "$FAULTY_DIR" --backend faulty --layer ops --cases 'matmul(f32[1,1];*' "${reports[@]}" >said 2>&1 &
pid=$!
wait_until $pid grep -q hanging said
kill -INT $pid
wait $pid
holds 'what was interrupted did not come to its end' 'd["ended"] is False and "the run did not come to its end" in d["because"]'
check 'a case that matches nothing' 2 'matches none' "$m" conformance --backend cpu --layer ops --cases 'nothing*' "${reports[@]}"
holds 'no case is a failure' 'd["verdict"] == "not conformant" and "no case of layer ops was run" in d["because"] and x.get("failures") == "1"'
check 'what a device refuses' 1 'lacks' "$m" conformance --backend reference --device-option refuse=exp --layer ops --cases 'exp(f32[7])' "${reports[@]}"
holds 'it lacks, and never passes' 'd["verdict"] == "lacking" and d["lacks"][0]["about"] == "exp" and d["lacks"][0]["why"] and d["options"] == ["refuse=exp"]'
holds 'JUnit has it as skipped' 'x.get("skipped") == "1" and case["exp(f32[7])"].find("skipped") is not None'
check 'a lacking statement is not conformant' 1 '1 of 1 cases of layer ops lack' "$m" conformance verify report.json

# A statement of everything, which nobody measured: it holds, so that each change of it can be looked at alone. The
# digest is no seal: verify itself says which one belongs to a document.
layers=$(sed -n 's/^const char \*const check_layers\[\] = {\(.*\), NULL};/\1/p' "$SOURCE_DIR/tools/m3bsr/cmd_conformance.c")
[ -n "$layers" ] || fail 'the layers were not found'
"$m" conformance --list --cases '*' --json >names.json || fail 'the list'
"$m" conformance --list --layer system --json >duties.json || fail 'the checks of layer system'
"$m" conformance --backend cpu --layer ops --cases 'exp(f32[7])' --report whole.json >said || fail 'a statement to begin with'
forge() { # FILE PYTHON: d of whole.json changed, with the digest that belongs to it
    python3 - "$1" "$2" "[$layers]" <<'PYTHON'
import json, os, re, subprocess, sys
d = json.load(open("whole.json", encoding="utf-8"))
layers, names, duties = json.loads(sys.argv[3]), json.load(open("names.json", encoding="utf-8")), json.load(open("duties.json", encoding="utf-8"))
exec(sys.argv[2])
def write(digest):
    d["digest"] = digest
    json.dump(d, open(sys.argv[1], "w"))
write("?")
says = subprocess.run([os.environ["M3BSR"], "conformance", "verify", sys.argv[1]], capture_output=True, text=True).stdout
found = re.search("it would be ([0-9a-f]{32})", says)
if found: write(found[1])
PYTHON
}
forge whole.json '
d["cases"], d["verdict"], d["because"] = None, "conformant", []
d["results"] = {l: [[n, "pass", n.split("(")[0], "f32", "line", 0.5, 1.0] for n in (names if l in ("ops", "gradients") else duties if l == "system" else ["%s.%d" % (l, i) for i in range(20)])] for l in layers}
d["layers"] = [{"name": l, "cases": len(r), "pass": len(r), "fail": 0, "lack": 0, "crash": 0, "timeout": 0, "share": 0.5, "ms": float("%.3g" % len(r))} for l, r in d["results"].items()]'
check 'a conformant statement' 0 'conformant: whole.json' "$m" conformance verify whole.json
check 'as JSON' 0 '"valid": true, "conformant": true' "$m" conformance verify --json whole.json

# what is changed, with a digest that belongs to it | what is said. Under sanitizers one in four: all take the same way.
lines=0
while IFS='|' read -r change says; do
    lines=$((lines + 1))
    [ -z "$SANITIZE" ] || [ $((lines % 4)) = 1 ] || continue
    forge changed.json "$change"
    check "$change" 1 "$says" "$m" conformance verify changed.json
done <<'TABLE'
d["results"]["ops"].pop(100)|its counts by layer do not agree with its results
d["results"]["ops"].pop(100); d["layers"][layers.index("ops")]["cases"] -= 1; d["layers"][layers.index("ops")]["pass"] -= 1|cases of the list have no result, the first: 
d["results"]["ops"][3][0] = d["results"]["ops"][4][0]|1 results of layer ops have a name that was there before
d["results"]["ops"][3][5] = 1.5; d["layers"][layers.index("ops")]["share"] = 1.5|1 cases pass with an error beyond the bound
d["results"]["ops"][3][1:] = ["fail"] + d["results"]["ops"][3][2:] + ["wrong", "again"]|its counts by layer do not agree
d["results"]["ops"][3][1:] = ["fail"] + d["results"]["ops"][3][2:] + ["wrong", "again"]; d["layers"][layers.index("ops")].update({"pass": len(names) - 1, "fail": 1})|its results say 'not conformant'
d["results"]["ops"][3][1:] = ["lack"] + d["results"]["ops"][3][2:] + ["wrong", "again"]|its list of what lacks does not agree
del d["results"]["gradients"]; d["layers"] = [l for l in d["layers"] if l["name"] != "gradients"]|it says 'conformant', and its results say 'partial'
d["results"]["ops"] = []; d["layers"][layers.index("ops")].update({"cases": 0, "pass": 0, "share": 0.0, "ms": 0.0})|its results say 'not conformant'
d["results"]["system"].pop(3); d["layers"][layers.index("system")].update({"cases": len(duties) - 1, "pass": len(duties) - 1, "ms": len(duties) - 1.0})|1 checks of layer system have no result, the first: 
d["ended"] = False|its results say 'not conformant'
d["cases"] = "add*"|its results say 'partial'
d["results"]["model"].pop(); d["layers"][layers.index("model")].update({"cases": 19, "pass": 19, "ms": 19.0})|its results say 'partial'
d["verdict"] = "excellent"|it says 'excellent', and its results say 'conformant'
d["because"] = ["of the weather"]|its reasons do not follow
d["list"]["hash"] = "0" * 32|its list is not the quick list
d["list"]["cases"] = 5|its list is not the quick list
d["list"]["version"] += 1; d["product"] = "7.0"|; verify it with m3bsr 7.0
d["list"]["kind"] = "short"|there is no list 'short'
d["results"]["luck"] = []; d["layers"].append({"name": "luck", "cases": 0, "pass": 0, "fail": 0, "lack": 0, "crash": 0, "timeout": 0, "share": 0.0, "ms": 0.0})|this program knows no layer 'luck'
TABLE
sed 's/"seed": [0-9]*/"seed": 9/' whole.json >changed.json
check 'a change without its digest' 1 'it was altered: its digest is' "$m" conformance verify changed.json

# Cases are run again: of a right device, and of one that is wrong with all that the statement calls right.
"$m" conformance --backend cpu --layer ops --cases 'exp(f32*' --report exp.json >said || fail 'a statement to run again'
check 'cases pass here too' 1 '3 random cases were run again and pass here' "$m" conformance verify exp.json --rerun 3
check 'a wrong device does not agree' 1 'cases do not pass here on faulty, the first: exp(' env M3BSR_FAULT=exp_scale "$m" conformance verify \
    exp.json --rerun 4 --backend faulty --plugin-path "$FAULTY_DIR"
"$m" conformance --backend cpu --layer system --layer model --random 2 --cases '*.[r1]*' --report two.json >said ||
    fail 'a statement of other layers'
count=$(python3 -c 'import json; print(sum(map(len, json.load(open("two.json"))["results"].values())))')
check 'cases of every layer pass here too' 1 "$count random cases were run again and pass here" "$m" conformance verify two.json \
    --rerun 1000

# What is no statement. Nothing of it reaches the terminal as it is, and nothing takes long.
none() { # NAME PATTERN: of the file `none`
    check "$1" 2 "$2" timeout 60 "$m" conformance verify none
}
check 'no file' 2 'something is missing' "$m" conformance verify
check 'a file that is not there' 2 'No such file' "$m" conformance verify nowhere
check 'a folder' 2 'Is a directory' "$m" conformance verify .
: >none && none 'an empty file' 'it is neither JSON nor a page'
head -c 10000000 /dev/urandom >none && none 'junk' 'error: none: '
head -c 10000000 /dev/zero | tr '\0' '[' >none && none 'many brackets' 'it is neither JSON nor a page'
{ printf '{"a":'; head -c 10000000 /dev/zero | tr '\0' '['; } >none && none 'deep brackets' 'deeper than those of a statement'
head -c 70000000 /dev/zero | tr '\0' ' ' >none && none 'a long file' 'longer than any statement'
head -c 100000 whole.json >none && none 'a cut file' 'it is no JSON, or was cut'
{ cat whole.json && echo '{}'; } >none && none 'more behind it' 'it is no JSON, or was cut'
sed 's/^{/{"seed": 3, /' whole.json >none && none 'a member twice' 'it is no JSON, or was cut'
echo '{}' >none && none 'an object' 'it is no statement of conformance'
echo '{"statement": "m3bsr conformance", "format": 99}' >none && none 'another format' 'its format is one that this program does not know'
forge none 'd["results"]["ops"][3] = 5' && none 'a result of another form' 'a result is not as it should be'
forge none 'd["results"]["ops"][3][1] = "perhaps"' && none 'a verdict that is none' 'a result is not as it should be'
forge none 'd["device"] = []' && none 'a device of another form' '"device" is not as it should be'
forge none 'del d["lacks"]' && none 'a missing list' 'a list is missing'
forge changed.json 'd["date"] = "\u001b[2Jcleared"; d["device"]["driver"] = "\u009b5m"'
check 'what would clear a terminal' 0 ' [2Jcleared' "$m" conformance verify changed.json
"$m" conformance verify changed.json | LC_ALL=C grep -q $'[\x1b\x9b]' && fail 'an escape of the statement reaches the terminal'
exit $((failures > 0))
