#!/bin/bash
# What is installed suffices: the example builds against it through CMake and through pkg-config, trains and
# recommends alike; and a third party's expert builds from the installed headers alone, loads, and trains.
# Labels: release
set -eu
here=$SOURCE_DIR/tests/install
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
prefix=$work/prefix
export XDG_CACHE_HOME=$work/cache
unset M3BSR_PLUGIN_PATH

fail() {
    echo "FAILED: $1"
    [ -z "${2-}" ] || cat "$2"
    exit 1
}

# One at a time: installing fills a file of the build folder.
flock "$BUILD_DIR/install.lock" "$CMAKE" --install "$BUILD_DIR" --prefix "$prefix" >"$work/log" 2>&1 ||
    fail "cmake --install" "$work/log"
pc=$(find "$prefix" -name m3bsr.pc)
export PKG_CONFIG_PATH=${pc%/*}
libdir=$(pkg-config --variable=libdir m3bsr)
tool=$prefix/bin/m3bsr

# The SONAME is the name that programs will look for.
soname=$(readelf -d "$libdir/libm3bsr.so" | sed -n 's/.*(SONAME).*\[\(.*\)\]/\1/p')
[ -n "$soname" ] && [ -e "$libdir/$soname" ] || fail "no file has the SONAME '$soname'"

# An empty entry of a search path, a relative one too, is the folder at hand: whoever can write there would be loaded.
while read -r file; do
    path=$(readelf -d "$file" 2>/dev/null | sed -n 's/.*(R[A-Z]*PATH).*\[\(.*\)\]/\1/p')
    while read -r -d : entry; do
        [[ $entry == /* || $entry == '$ORIGIN'* ]] || fail "$file looks for libraries in '$entry', of '$path'"
    done <<<"${path:-/}:"
done < <(find "$prefix" "$BUILD_DIR/bin" "$BUILD_DIR/lib" "$BUILD_DIR/tests" -type f \( -perm -100 -o -name '*.so*' \))

"$CMAKE" -S "$here" -B "$work/build" -G Ninja -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_C_COMPILER="$CC" >"$work/log" 2>&1 &&
    "$CMAKE" --build "$work/build" >>"$work/log" 2>&1 || fail "the example through CMake" "$work/log"
# shellcheck disable=SC2046 # pkg-config answers with words
"$CC" -std=c17 -Wall -Wextra -Werror $(pkg-config --cflags m3bsr) "$here/example.c" -o "$work/example" \
    $(pkg-config --libs m3bsr) || fail "the example through pkg-config"

"$tool" data synth --out "$work/source" --users 120 --items 80 --clusters 4 --width 8 2>"$work/log" >&2 &&
    "$tool" data import "$work/source" --out "$work/set" 2>"$work/log" >&2 || fail "making a data set" "$work/log"
for program in "$work/build/example" "$work/example"; do
    rm -rf "$work/run"
    LD_LIBRARY_PATH=$libdir "$program" "$work/set" "$work/run" >"$work/items" 2>"$work/log" || fail "$program" "$work/log"
    rows=$(wc -l <"$work/items")
    [ "$rows" = 15 ] || fail "$program gave $rows rows instead of 15" "$work/items"
    cp -n "$work/items" "$work/first"
    cmp "$work/items" "$work/first" || fail "the two builds recommend differently"
done

# The vector files came along, and headers cite nothing that did not.
vectors=$(pkg-config --variable=vectordir m3bsr)
(cd "$SOURCE_DIR/tests/vectors" && ls) >"$work/there"
(cd "$vectors" && ls) >"$work/here"
cmp "$work/there" "$work/here" || fail "not all vector files are installed in '$vectors'" "$work/here"
"$tool" conformance --backend cpu --layer model --vectors "$vectors/one.safetensors" >"$work/log" 2>&1 ||
    fail "an installed vector file" "$work/log"
bash "$SOURCE_DIR/tests/cli/check_citations.sh" "$prefix" include >"$work/log" ||
    fail "installed headers cite what is not installed" "$work/log"

# The installed command found the installed plugins; now it is to find one more.
mkdir -m 755 "$work/plugins"
# shellcheck disable=SC2046
"$CC" -std=c17 -O2 -fPIC -shared -fvisibility=hidden -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror \
    $(pkg-config --cflags m3bsr) "$here/plugin_expert.c" -o "$work/plugins/m3bsr_expert_recency.so" -Wl,-z,defs -lm ||
    fail "a plugin from the installed headers"
"$tool" plugins --plugin-path "$work/plugins" >"$work/log" 2>&1 || fail "m3bsr plugins" "$work/log"
grep recency "$work/log" || fail "the plugin is not listed" "$work/log"
printf 'data: %s\nexpert: recency\nrecency_decay: 0.3\nwidth: 16\nheads: 2\nlength: 8\nepochs: 1\ninfer_start: 5\n' \
    "$work/set" >"$work/recency.yaml"
"$tool" train "$work/recency.yaml" --plugin-path "$work/plugins" --out "$work/recency" >"$work/log" 2>&1 ||
    fail "training with the plugin" "$work/log"
echo "installed as $soname; $(wc -l <"$work/first") rows, and an expert from outside trains"
