#!/bin/bash
# The include arrows hold in the tree, and the check that says so does find what goes against them.
set -u
check="$SOURCE_DIR/tests/cli/check_layers.sh"
failed=0

bash "$check" "$SOURCE_DIR" || failed=1

# Rows: where, the header it includes, "ok" or a piece of the sentence that refuses it.
while IFS='|' read -r file header says; do
    tree=$(mktemp -d)
    mkdir -p "$tree/$(dirname "$file")"
    printf '#include "%s"\n' "$header" >"$tree/$file"
    out=$(bash "$check" "$tree" 2>&1)
    status=$?
    rm -r "$tree"
    if [ "$says" = ok ]; then
        [ $status = 0 ] && continue
    else
        case "$status $out" in 1*"$says"*) continue ;; esac
    fi
    echo "FAILED: $file including $header should be '$says', got $status '$out'"
    failed=1
done <<'ROWS'
core/graph/a.c|core/ops/common/op.h|ok
core/ops/a.c|core/graph/graph.h|core/ops does not lie above core/graph
core/runtime/a.c|core/model/model.h|core/runtime does not lie above core/model
core/train/a.c|core/data/set.h|ok
core/train/a.c|core/train/data_loader.h|ok
core/train/a.c|data_loader.h|core includes core/ and m3bsr/ alone
core/bench/a.c|core/train/data_loader.h|ok
core/train/a.c|core/serve/rank.h|ok
core/serve/a.c|core/train/data_loader.h|core/serve does not lie above core/train
core/run/a.c|core/settings/settings.h|ok
core/settings/a.c|core/run/run.h|core/settings does not lie above core/run
core/model/a.c|core/data/draw.h|core/model does not lie above core/data
core/base/a.c|backends/cpu/plugin.h|core includes core/ and m3bsr/ alone
core/extra/a.c|core/base/alloc.h|has no place in the layers
core/base/a.c|../ops/op.h|without ..
backends/cpu/a.c|m3bsr/backend.h|ok
backends/cpu/a.c|backends/cpu/kernels.h|ok
backends/cpu/a.c|kernels.h|from the root of the sources
backends/cpu/a.c|shaders.inc|ok
backends/vulkan/a.c|backends/lowering/lower.h|ok
backends/lowering/a.c|backends/vulkan/queue.h|includes no other plugin
backends/cpu/a.c|core/base/alloc.h|include/m3bsr and its own folder alone
backends/cpu/a.c|backends/reference/device.h|includes no other plugin
plugins/experts/gru/a.c|core/ops/common/op.h|include/m3bsr and its own folder alone
tools/m3bsr/a.c|tools/m3bsr/cli.h|ok
tools/m3bsr/a.c|core/base/alloc.h|public interface alone
include/m3bsr/a.h|core/base/alloc.h|public headers alone
ROWS
exit $failed
