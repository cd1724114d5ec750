#!/bin/bash
# Machines without a driver: a backend that needs one loads, lists nothing, says why to those who ask with -v, and the
# rest of the tool works.
source "$(dirname "$0")/../support/script.sh"
: "${TEST_PLUGIN_DIR:?plugins of the tests}" "${PLUGIN_DIR:?plugins of the build}"

# goes_without BACKEND WHAT REASON VARIABLE=VALUE: the tool under that environment
goes_without() {
    local backend=$1 what="$1 $2" reason=$3
    shift 3
    check "$what: devices says why" 0 "$reason" env "$@" "$M3BSR" devices -v
    check "$what: the plugin is loaded" 0 "$backend" env "$@" "$M3BSR" plugins
    check "$what: it cannot be chosen" 2 "there is no device '$backend'" env "$@" "$M3BSR" conformance --backend "$backend" --layer ops
    check "$what: others compute" 0 '0 fail' env "$@" "$M3BSR" conformance --backend cpu --layer ops --cases 'copy*'
    if env "$@" "$M3BSR" devices 2>"$folder/said" | grep "^$backend:" || [ -s "$folder/said" ]; then
        printf 'FAILED: %s: it is listed, or complains without -v:\n' "$what"
        cat "$folder/said"
        failures=$((failures + 1))
    fi
}

mkdir "$folder/nothing"
tested=0
# backend, variables that lead its loader to drivers, its loader, a function of it, what -v says without a driver
while read -r backend variables library function says; do
    [ -e "$PLUGIN_DIR/m3bsr_backend_$backend.so" ] || continue
    tested=$((tested + 1))
    hidden=()
    for variable in ${variables//,/ }; do hidden+=("$variable=$folder/nothing"); done
    if ldconfig -p 2>/dev/null | grep -qF "$library"; then
        goes_without "$backend" 'without a driver' "$says" "${hidden[@]}"
    fi
    # The dynamic linker takes the first file of the name, and this one is no library.
    mkdir "$folder/$backend-broken" "$folder/$backend-other"
    for name in "$library" "${library%.1}"; do
        : >"$folder/$backend-broken/$name"
        cp "$TEST_PLUGIN_DIR/fine.so" "$folder/$backend-other/$name"
    done
    goes_without "$backend" 'without a loader' "$backend lists no device: " "LD_LIBRARY_PATH=$folder/$backend-broken"
    goes_without "$backend" 'with another library as loader' "$function" "LD_LIBRARY_PATH=$folder/$backend-other"
done <<'END'
opencl OCL_ICD_VENDORS,OCL_ICD_FILENAMES libOpenCL.so.1 clGetPlatformIDs opencl lists no device: the loader has no platform
vulkan VK_ICD_FILENAMES,VK_DRIVER_FILES libvulkan.so.1 vkGetInstanceProcAddr vulkan lists no device: there is a Vulkan loader
END

# Who asks for one backend opens no driver of another, with its memory, its time and its faults.
said=$("$M3BSR" graph -v --backend cpu 2>&1) || { printf 'FAILED: a graph on cpu: %s\n' "$said" && failures=$((failures + 1)); }
grep -q 'backend cpu is opened' <<<"$said" || { echo 'FAILED: -v does not say which backend is opened' && failures=$((failures + 1)); }
if grep -E 'backend (opencl|vulkan) is opened' <<<"$said"; then
    echo 'FAILED: --backend cpu opens another backend'
    failures=$((failures + 1))
fi

[ $tested -gt 0 ] || { echo 'skipped: the build has no backend that needs a driver' && exit 77; }
[ $failures -eq 0 ]
