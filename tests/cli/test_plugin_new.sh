#!/bin/bash
# `m3bsr plugin new` writes a folder completely or not at all, and what it writes builds against the installed package
# without a warning, loads, and works: the backend is right in every op and every vector file, the encoder and the
# expert train on it.
set -u
umask 022 # a folder that others can write is not loaded from
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
templates=$SOURCE_DIR/tools/templates
failures=0
export XDG_CACHE_HOME=$work/cache
unset M3BSR_PLUGIN_PATH

failed() {
    echo "FAILED: $1"
    [ -z "${2-}" ] || cat "$2"
    failures=$((failures + 1))
}

# check NAME STATUS PIECE COMMAND...: the exit status, and a piece of what is said
check() {
    local name=$1 status=$2 piece=$3 got
    shift 3
    "$@" >"$work/log" 2>&1
    got=$?
    [ "$got" = "$status" ] || failed "$name: exit status $got instead of $status" "$work/log"
    grep -qF -- "$piece" "$work/log" || failed "$name: does not say '$piece'" "$work/log"
}

# Writing.

for kind in expert encoder op backend; do
    name=my_$kind-2
    check "a new $kind" 0 "$work/$name/README.md" "$M3BSR" plugin new $kind $name --out "$work"
    for file in "$templates/$kind"/*; do
        sed "s/@NAME@/$name/g" "$file" | cmp - "$work/$name/$(basename "$file")" ||
            failed "$name/$(basename "$file") is not the template with its name"
    done
    [ "$(ls -A "$templates/$kind")" = "$(ls -A "$work/$name")" ] || failed "$name does not have the template's files"
    [ "$(stat -c %a "$work/$name")" = 755 ] || failed "$name does not have the usual rights"
done
check 'JSON' 0 '"files": ["CMakeLists.txt", "README.md", "plugin.c"]' \
    "$M3BSR" plugin new expert as_json --out "$work" --json

mkdir "$work/here"
(cd "$work/here" && "$M3BSR" plugin new encoder -q here >"$work/log" 2>&1) || failed 'the folder at hand' "$work/log"
[ -e "$work/here/here/plugin.c" ] || failed 'without --out, the folder is made at hand'

# Refusals.

rm -rf "$work/none" && mkdir "$work/none"
new="$M3BSR plugin new"
check 'a folder that is there' 2 'it is there already' $new expert my_expert-2 --out "$work"
cmp -s "$work/my_expert-2/plugin.c" <(sed 's/@NAME@/my_expert-2/g' "$templates/expert/plugin.c") ||
    failed 'a refusal changed the folder that was there'
touch "$work/file"
check 'a file that is there' 2 'it is there already' $new expert file --out "$work"
check 'a name that is loaded' 2 "a backend of this name is loaded already" $new backend reference --out "$work/none"
check 'the same name for another kind' 0 '' $new expert reference --out "$work/here"
check 'a backend named auto' 2 'another name' $new backend auto --out "$work/none"
check 'capitals' 2 "'Pool' cannot name a plugin" $new expert Pool --out "$work/none"
check 'a path as name' 2 "'../pool' cannot name a plugin" $new expert ../pool --out "$work/none"
check 'no letter' 2 "'' cannot name a plugin" "$M3BSR" plugin new expert '' --out "$work/none"
check 'a long name' 2 'give 1 to 32' $new expert a23456789b23456789c23456789d23456 --out "$work/none"
check 'an unknown kind' 2 'there are: expert encoder op backend' $new router pool --out "$work/none"
check 'another verb' 2 "plugin cannot 'old'" "$M3BSR" plugin old expert pool --out "$work/none"
check 'no name' 2 'usage: m3bsr plugin new' $new expert
check 'a word too many' 2 "'too' is one argument too many" $new expert pool2 too --out "$work/none"
check 'an unknown option' 2 '--folder' $new expert pool2 --folder "$work/none"
check 'a folder to put it in that is not there' 2 'No such file' $new expert pool2 --out "$work/none/no"
check 'a file to put it in' 2 'Not a directory' $new expert pool2 --out "$work/file"
check 'help' 0 'usage: m3bsr plugin new expert|encoder|op|backend NAME' "$M3BSR" help plugin

# A file that cannot be finished, as on a full disk: at most 1 KiB may be written here.
(
    trap '' XFSZ
    ulimit -f 1
    exec $new backend full --out "$work/none"
) 2>&1 | head -c 1000 >"$work/log"
[ "${PIPESTATUS[0]}" = 3 ] || failed 'a file that cannot be finished is a failure of the system' "$work/log"
grep -q 'it cannot be written' "$work/log" || failed 'a file that cannot be finished is not told' "$work/log"
[ -z "$(ls -A "$work/none")" ] || failed "something was left by a refusal: $(ls -A "$work/none")"

[ "$failures" = 0 ] || exit 1
[ -z "$SANITIZE" ] || { echo "written and refused; building needs a library without sanitizers"; exit 0; }

# Building, loading, proving.

flock "$BUILD_DIR/install.lock" "$CMAKE" --install "$BUILD_DIR" --prefix "$work/prefix" >"$work/log" 2>&1 ||
    failed 'cmake --install' "$work/log"
tool=$work/prefix/bin/m3bsr
path=
for kind in expert encoder op backend; do
    folder=$work/my_$kind-2
    path=$path:$folder/build
    { "$CMAKE" -S "$folder" -B "$folder/build" -G Ninja -DCMAKE_PREFIX_PATH="$work/prefix" -DCMAKE_C_COMPILER="$CC" \
        -DCMAKE_C_FLAGS='-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror' &&
        "$CMAKE" --build "$folder/build"; } >"$work/log" 2>&1 || failed "building the $kind" "$work/log"
    file=${kind/op/expert}
    exported=$("$NM" -D --defined-only "$folder/build/m3bsr_${file}_my_$kind-2.so" | awk '{print $NF}')
    [ "$exported" = m3_plugin_query ] || failed "the $kind exports '$exported'"
    "$tool" plugins -q --plugin-path "$path" | grep -Eq "^loaded +$file +my_$kind-2 " || failed "the $kind does not load"
done
check 'the installed package' 2 'loaded already' "$tool" plugin new expert my_expert-2 --plugin-path "$path" --out "$work/none"
[ "$failures" = 0 ] || exit 1

for kind in expert encoder op backend; do
    ctest --test-dir "$work/my_$kind-2/build" --output-on-failure >"$work/$kind" 2>&1 || failed "the $kind's own tests" "$work/$kind"
done
grep -q '100% tests passed, 0 tests failed out of 2' "$work/op" || failed "the op does not test both" "$work/op"
grep -q '100% tests passed, 0 tests failed out of 3' "$work/backend" || failed "the backend does not test every layer" "$work/backend"
check 'the statement of the backend' 0 'conformant: ' "$tool" conformance verify "$work/my_backend-2/build/statement.json"
check 'what to write next, of core ops first' 0 'elsewhere, for want of matmul' "$tool" conformance --next \
    --plugin-path "$path" --backend my_backend-2 --device-option evaluate=no
check 'what its kernels have runs on it' 0 'my_backend-2:0 itself runs' "$tool" conformance --next \
    --plugin-path "$path" --backend my_backend-2 --device-option evaluate=no
check 'the rest runs elsewhere' 0 ' because: ' "$tool" graph -q --plugin-path "$path" --backend my_backend-2 \
    --device-option evaluate=no
check 'the checks of the expert' 0 ' 0 fail, 0 lack' \
    "$tool" conformance --plugin-path "$path" --backend cpu --layer modules --cases 'expert.my_expert-2.*'
check 'the checks of the encoder, on the backend' 0 ' 0 fail, 0 lack' \
    "$tool" conformance --plugin-path "$path" --backend my_backend-2 --layer modules --cases 'encoder.my_encoder-2.*'

check 'making data' 0 '' "$tool" data synth --out "$work/source" --users 40 --items 40 --clusters 4 --width 8
check 'importing it' 0 '' "$tool" data import "$work/source" --out "$work/set"
cat >"$work/config.yaml" <<'YAML'
data: set
expert: my_expert-2
my_expert-2_mult: 3
encoder: my_encoder-2
my_encoder-2_layers: 2
width: 16
length: 8
batch: 32
epochs: 1
infer_start: 5
YAML
train=("$tool" train "$work/config.yaml" --plugin-path "$path")
check 'the graph of expert and encoder' 0 'experts.specific.norm' \
    "$tool" graph "$work/config.yaml" --plugin-path "$path"
check 'training with all three' 0 '' "${train[@]}" --backend my_backend-2 --strict --out "$work/run"
for parameter in experts.specific.ffn2.weight experts.shared.norm.bias encoder.feature0.proj2.weight; do
    grep -qF "\"$parameter\"" "$work/run/last.safetensors" || failed "the run has no parameter $parameter"
done
check 'the run on another backend' 0 'NDCG@10' "$tool" evaluate "$work/run" --plugin-path "$path" --backend cpu
check 'an option of the expert out of range' 2 'from 1 to 16' "${train[@]}" --set my_expert-2_mult=17 --out "$work/run2"
check 'an option of the encoder out of range' 2 'from 1 to 8' "${train[@]}" --set my_encoder-2_layers=0 --out "$work/run2"

[ "$failures" = 0 ] && echo "an expert, an encoder and a backend were written, built, loaded and proved"
