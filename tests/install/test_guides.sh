#!/bin/bash
# The guides for plugin authors, followed as they stand against what is installed: a block `c FILE` is written to that
# file and a block `sh` is run, in order.
# Labels: release
. "$SOURCE_DIR/tests/support/script.sh"
unset M3BSR_PLUGIN_PATH
flock "$BUILD_DIR/install.lock" "$CMAKE" --install "$BUILD_DIR" --prefix "$folder/prefix" >"$folder/log" 2>&1 ||
    { cat "$folder/log"; exit 1; }
docs=$(find "$folder/prefix" -name EXPERT.md -printf '%h\n')
export PATH=$folder/prefix/bin:$PATH CMAKE_PREFIX_PATH=$folder/prefix CC
PKG_CONFIG_PATH=$(find "$folder/prefix" -name m3bsr.pc -printf '%h')
export PKG_CONFIG_PATH
umask 022

for guide in EXPERT CUSTOM-OP BACKEND; do
    mkdir "$folder/$guide"
    # A script that writes the files and runs the commands.
    awk '
    /^```sh$/ { block = "sh"; next }
    /^```(c|glsl) / { block = "c"; printf "cat >%s <<\"END_OF_FILE\"\n", $2; next }
    /^```$/ { if (block == "c") print "END_OF_FILE"; block = ""; next }
    block != "" { print }' "$docs/$guide.md" >"$folder/$guide.sh"
    [ "$(grep -c m3bsr "$folder/$guide.sh")" -gt 5 ] || fail "$guide has no blocks"
    (cd "$folder/$guide" && bash -euo pipefail "$folder/$guide.sh") >"$folder/log" 2>&1 ||
        fail "$guide:"$'\n'"$(tail -40 "$folder/log")"
    grep -q 'warning:' "$folder/log" && fail "$guide warns:"$'\n'"$(grep -A3 'warning:' "$folder/log")"
    grep -q '^pass ' "$folder/log" || fail "$guide does not come to its checks"
done

# A custom op's kernels are those that its devices run.
for backend in opencl vulkan; do
    "$M3BSR" devices -q | grep -q "^$backend:0 " || continue
    [ $backend != vulkan ] || [ -e "$folder/CUSTOM-OP/softsign/softsign.inc" ] || continue
    check "the kernel for $backend" 0 ': 6 pass, 0 fail, 0 lack; 6 native' "$folder/prefix/bin/m3bsr" conformance --layer ops \
        --backend $backend --plugin-path "$folder/CUSTOM-OP/softsign/build" --cases 'softsign.*'
done
exit $((failures > 0))
