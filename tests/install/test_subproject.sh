#!/bin/bash
# A project that adds m3bsr's folder gets library, plugins and command, and no tests: cmocka is not needed. The example is
# linked to m3bsr::m3bsr there, and the command finds the plugins of its build.
# Labels: release
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export XDG_CACHE_HOME=$work/cache
unset M3BSR_PLUGIN_PATH

fail() {
    echo "FAILED: $1"
    [ -z "${2-}" ] || cat "$2"
    exit 1
}

# Where pkg-config knows no cmocka, whatever is installed. Backends with a vendor's headers would only take longer.
mkdir "$work/bin"
printf '#!/bin/sh\ncase " $* " in *" cmocka "*) exit 1 ;; esac\nexec %s "$@"\n' "$(command -v pkg-config)" >"$work/bin/pkg-config"
chmod +x "$work/bin/pkg-config"
PATH=$work/bin:$PATH "$CMAKE" -S "$SOURCE_DIR/tests/install/parent" -B "$work/build" -G Ninja -DM3BSR="$SOURCE_DIR" \
    -DCMAKE_C_COMPILER="$CC" -DCMAKE_BUILD_TYPE=Release -DCMAKE_C_FLAGS_RELEASE="-O0 -DNDEBUG" -DOPENCL_HEADERS=OFF \
    -DVULKAN_HEADERS=OFF >"$work/log" 2>&1 ||
    fail "configuring" "$work/log"
grep -qiE 'cmocka|m3bsr_internal|cpu_vec_probe' "$work/build/build.ninja" && fail "the build has tests"
grep -q 'm3bsr_backend_cpu' "$work/build/build.ninja" || fail "the build has no plugins"
"$CMAKE" --build "$work/build" --target example m3bsr_tool m3bsr_backend_reference >"$work/log" 2>&1 ||
    fail "building" "$work/log"

"$work/build/example" >"$work/log" 2>&1 && fail "the example takes no arguments" "$work/log"
grep -q '^usage: example SET RUN' "$work/log" || fail "the example does not run" "$work/log"
"$work/build/m3bsr/bin/m3bsr" devices >"$work/log" 2>&1 || fail "the command" "$work/log"
grep -q '^reference' "$work/log" || fail "the command does not find the plugins of its build" "$work/log"

# The same choice at the top: a build without tests.
PATH=$work/bin:$PATH "$CMAKE" -S "$SOURCE_DIR" -B "$work/without" -G Ninja -DM3BSR_TESTS=OFF -DCMAKE_C_COMPILER="$CC" \
    >"$work/log" 2>&1 || fail "configuring with M3BSR_TESTS=OFF" "$work/log"
grep -qi 'cmocka' "$work/without/build.ninja" && fail "a build with M3BSR_TESTS=OFF has tests"
echo "built without tests"
