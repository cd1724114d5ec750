#!/bin/bash
# m3bsr from the outside: what is asked wrongly ends with status 2 and a sentence that says how to mend it.
# Labels: errors
source "$(dirname "$0")/../support/script.sh"

# config NAME LINE...: a file of settings
config() {
    local name=$1
    shift
    printf '%s\n' "$@" >"$folder/$name"
}

# Under valgrind, where a call takes a second, one in three stands for all.
eval "$(declare -f check | sed '1s/check/check_each/')"
checks=0
check() {
    checks=$((checks + 1))
    [[ $M3BSR == *valgrind* ]] && [ $((checks % 3)) != 1 ] || check_each "$@"
}

m=$M3BSR
check 'no command' 2 'usage: m3bsr COMMAND' "$m"
check 'an unknown command lists what there is' 2 'devices' "$m" trian
check 'help' 0 'recommend' "$m" help
check 'help on a command' 0 '--resume' "$m" help train
check 'help on an unknown command' 2 "there is no command 'trian'" "$m" help trian
check 'the version' 0 'plugin interface' "$m" --version
for command in devices plugins data train checkpoint evaluate recommend trace graph bench plan tune conformance; do
    check "$command has help" 0 'usage: m3bsr' "$m" $command --help
    check "$command refuses an unknown option" 2 "$([[ $command =~ ^(data|checkpoint)$ ]] && echo usage || echo unrecognized)" "$m" $command --no-such-option
done

for command in import describe synth; do
    check "data $command has help" 0 "usage: m3bsr data $command" "$m" data $command --help
    check "data $command refuses an unknown option" 2 unrecognized "$m" data $command --no-such-option
done
check 'an option of another command' 2 unrecognized "$m" data describe --users 3
check 'a number that is none' 2 "--users cannot be '3x'" "$m" data synth --out "$folder/src" --users 3x
check 'a real that is none' 2 "--deepen cannot be 'much'" "$m" data synth --out "$folder/src" --deepen much
check 'features without a file' 2 "--features cannot be 'image'" "$m" data import "$folder" --out "$folder/set" \
    --features image
check 'describing nothing' 2 'which set?' "$m" data describe

check 'train without a configuration' 2 'usage: m3bsr train CONFIG --out RUN' "$m" train
check 'train without a place' 2 'where to?' "$m" train "$folder/none.yaml"
check 'one word too many' 2 "'b' is one argument too many" "$m" train a b --out "$folder/run"
check 'a configuration that is not there' 2 'none.yaml' "$m" train "$folder/none.yaml" --out "$folder/run"
config typo.yaml 'widht: 8'
check 'an unknown key suggests the nearest' 2 "did you mean 'width'" "$m" graph "$folder/typo.yaml"
check 'an unknown key has its place' 2 'typo.yaml:1' "$m" graph "$folder/typo.yaml"
config range.yaml 'epochs: 3' 'heads: 0'
check 'a value out of range has its place' 2 'range.yaml:2' "$m" graph "$folder/range.yaml"
config broken.yaml 'width: [8'
check 'a file that is no YAML' 2 'broken.yaml' "$m" graph "$folder/broken.yaml"
config expert.yaml 'expert: mamba'
check 'an unknown expert lists what is loaded' 2 'transformer' "$m" graph "$folder/expert.yaml"
config no-data.yaml 'width: 8' 'heads: 1'
check 'training without data' 2 'data: is not set' "$m" train "$folder/no-data.yaml" --out "$folder/run"
config lost-data.yaml 'data: nowhere.set'
check 'a data set that is not there' 2 'nowhere.set' "$m" train "$folder/lost-data.yaml" --out "$folder/run"
check 'an assignment that is none' 2 'give key=value' "$m" graph --set width
check 'an assignment to an unknown key' 2 "did you mean 'width'" "$m" graph --set widht=8
check 'a seed that is no number' 2 "'x' is no whole number" "$m" graph --seed x

check 'an unknown backend lists what there is' 2 'reference:0' "$m" graph --backend gpu
check 'a device number that is not there' 2 'cpu:0' "$m" graph --backend cpu:7
check 'an unknown option of a device' 2 'no such option' "$m" graph --backend reference --device-option colour=red
check 'an option of a device without value' 2 'write KEY=VALUE' "$m" graph --backend cpu --device-option fast
check 'an unknown pass lists what there is' 2 'dedupe' "$m" graph --no-pass magic
check 'threads that are no number' 2 "--threads cannot be 'two'" "$m" graph --threads two
check 'a graph of what is not there' 2 'give step or infer' "$m" graph --what train
check 'a bench of what is not there' 2 'give step or infer' "$m" bench --what train
check 'tuning nobody' 2 'which device?' "$m" tune
check 'tuning a backend without a choice' 2 'nothing to tune' "$m" tune --backend reference
check 'tuning says the same whatever else is asked' 2 'nothing to tune' "$m" tune --backend cpu --device-option isa=portable
check 'tuning a batch of nothing' 2 "--batch cannot be '0'" "$m" tune --backend cpu --batch 0
check 'tuning for what is not there' 2 'none.yaml' "$m" tune "$folder/none.yaml" --backend cpu

check 'accidents by what is none' 2 'give uniform or popularity' "$m" data synth --out "$folder/src" --accidental-by luck
check 'a use of features that is none' 2 "'some' of image is unknown" "$m" data synth --out "$folder/src" --features some
check 'a run that is not there' 2 'settings.yaml' "$m" evaluate "$folder/nothing"
check 'an unknown split' 2 'give valid or test' "$m" evaluate "$folder/nothing" --split train
check 'baselines of a set that is not there' 2 'nothing' "$m" evaluate "$folder/nothing" --baselines
check 'baselines of a checkpoint' 2 'leave out --checkpoint' "$m" evaluate x --baselines --checkpoint y
check 'baselines against a truth' 2 'leave out --checkpoint, --data and --truth' "$m" evaluate x --baselines --truth y
check 'a run to another target' 2 '--target goes with --baselines' "$m" evaluate x --target buy
check 'recommending to nobody' 2 'for whom?' "$m" recommend "$folder/nothing"
check 'tracing nobody' 2 'for whom?' "$m" trace "$folder/nothing" --out "$folder/values"
check 'tracing to nowhere' 2 'where to?' "$m" trace "$folder/nothing" --users a
check 'an unknown tensor lists what there is' 2 "--tensors cannot be 'weights'; there are ids, encoded," "$m" trace \
    "$folder/nothing" --users a --out "$folder/values" --tensors user,weights
check 'a batch of nothing' 2 "--batch cannot be '0'" "$m" bench --batch 0
check 'no repeats' 2 "--repeats cannot be '0'" "$m" bench --repeats 0
check 'no item to recommend' 2 "--top cannot be '0'" "$m" recommend "$folder/nothing" --users a --top 0
check 'an unknown exclusion' 2 'give target, touched or none' "$m" recommend "$folder/x" --users a --exclude all
check 'an unknown format' 2 'give tsv or json' "$m" recommend "$folder/x" --users a --format xml

check 'a plan on nothing' 2 'on what?' "$m" plan --ranks 2 --link 1e9
check 'a plan without a link' 2 'on what?' "$m" plan --ranks 2 --device h200
check 'a plan over what is no link' 2 'a number of bytes a second' "$m" plan --ranks 2 --link fast --device h200
check 'a link without others' 2 'mpirun -n 2' "$m" bench --what link --collectives local
check 'a plan on an unknown device' 2 'h100 or h200' "$m" plan --device b200
check 'a plan on a file that is none' 2 'is no JSON' "$m" plan --device "$folder/typo.yaml"
check 'a plan of shards with the full loss' 0 'in shards of rows' "$m" plan --ranks 2 --link 1e9 --device h200 --shard rows --items 1000
check 'a plan of half a table' 2 'give rows or none' "$m" plan --device h200 --shard half

check 'joining nothing' 2 'usage: m3bsr checkpoint join RUN' "$m" checkpoint join
check 'joining a file in its place' 2 'give --out FILE' "$m" checkpoint join "$folder" --checkpoint "$folder/x"
check 'joining what is no run' 2 'has neither best.safetensors nor last.safetensors' "$m" checkpoint join "$folder"
check 'joining a run that is not there' 2 'nothing' "$m" checkpoint join "$folder/nothing"

check 'an unknown layer' 2 'ops gradients modules model' "$m" conformance --layer speed
check 'files for another layer' 2 'vector files are for --layer model' "$m" conformance --layer ops --vectors nothing
check 'no case matches' 2 'matches none' "$m" conformance --layer ops --cases 'nothing*'
check 'no check of a module matches' 2 'matches no check' "$m" conformance --backend cpu --layer modules --cases 'expert.no*'
check 'a module that holds' 0 '1 encoders and experts' "$m" conformance --backend cpu --layer modules --cases 'encoder.linear.*'
broken=$TEST_PLUGIN_DIR/broken_expert.so
check 'a broken expert is named' 1 'expert.broken_expert.empty fault=not_zero: with zeros' "$m" conformance --backend cpu \
    --plugin-path "$broken" --layer modules --cases 'expert.broken_expert.* fault=not_zero'
again=$("$m" conformance --backend cpu --plugin-path "$broken" --layer modules --cases 'expert.*fault=unused' 2>&1 |
    sed -n 's/^ *again: //p')
check 'an expert that crashes is one failed check' 1 'expert.broken_expert.builds fault=crashes: the process was killed by SIGABRT' \
    "$m" conformance --backend cpu --plugin-path "$broken" --layer modules --cases 'expert.broken_expert.* fault=crashes'
check 'and the checks go on behind it' 1 'expert.broken_expert.builds depth=4: build fails' \
    "$m" conformance --backend cpu --plugin-path "$broken" --layer modules --cases 'expert.broken_expert.builds*'
check 'its failure repeats as pasted' 1 "came 'more0' [4] without one" sh -c "$again"
check 'a vector file that is not there' 2 'nowhere' "$m" conformance --layer model --vectors "$folder/nowhere"
check 'a vector file that is none' 2 'typo.yaml' "$m" conformance --layer model --vectors "$folder/typo.yaml"
check 'cases say their layer' 0 '11 pass, 0 fail' "$m" conformance --backend cpu --cases 'neg*'
check 'cases that hold' 0 '0 fail' "$m" conformance --backend cpu --layer ops --cases 'neg*'
check 'a device that refuses an op falls back' 0 'because' "$m" graph --set width=8 --set heads=1 --set items=9 \
    --backend reference --device-option refuse=exp
check 'strict refuses to fall back' 3 'exp' "$m" graph --set width=8 --set heads=1 --set items=9 --strict \
    --backend reference --device-option refuse=exp
# shellcheck disable=SC2016 # the inner shell expands
check 'a result that cannot be written' 3 'could not be written' bash -c '"$M3BSR" plugins >/dev/full'

said=$("$m" graph --backend gpu 2>/dev/null)
[ -z "$said" ] || { echo 'FAILED: an error went to standard output'; failures=$((failures + 1)); }
[ "$failures" -eq 0 ]
