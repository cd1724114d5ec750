#!/bin/bash
# What sources and documents cite exists, and the check that says so does find what does not.
set -u
check="$SOURCE_DIR/tests/cli/check_citations.sh"
failed=0

bash "$check" "$SOURCE_DIR" || failed=1

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
mkdir -p "$tree"/core/{ops,model} "$tree"/tools/man
printf '# The model\n\n## 4 Encoders\n\n## 5 Diffusion\n### 5.2 By modality\n' >"$tree/core/model/MODEL.md"
touch "$tree/core/ops/op.h" "$tree/tools/check" "$tree/tools/man/m3bsr-config.5.scd"

# Rows: a file, its line, "ok" or what the check names.
while IFS='|' read -r file text says; do
    mkdir -p "$(dirname "$tree/$file")"
    printf '%s\n' "$text" >"$tree/$file"
    out=$(bash "$check" "$tree" 2>&1)
    status=$?
    rm "$tree/$file"
    if [ "$says" = ok ]; then
        [ $status = 0 ] && continue
    else
        case "$status $out" in "1 $file:1: cites $says, which does not exist") continue ;; esac
    fi
    echo "FAILED: '$text' in $file should be '$says', got $status '$out'"
    failed=1
done <<'ROWS'
core/a.c|/* x (MODEL.md 4). */|ok
core/a.c|/* x (MODEL.md 4, 5.2). */|ok
core/a.c|/* x (MODEL.md 6). */|MODEL.md 6
core/a.c|/* x (MODEL.md 5.3). */|MODEL.md 5.3
core/a.c|/* x (MODEL.md 4 to 9). */|MODEL.md 9
core/a.c|/* x (MODEL.md 4, 7). */|MODEL.md 7
core/a.c|/* as DESIGN.md says */|DESIGN.md
core/a.c|/* as core/ops/op.h has it, see core/ops/ */|ok
core/a.c|/* as core/ops/rules.h has it */|core/ops/rules.h
core/a.c|/* what core/extra is for */|core/extra
core/a.c|/* see op.h, and ops/op.h. */|ok
core/a.c|/* see rules.h */|rules.h
core/model/README.md|read op.h first|op.h
core/ops/README.md|read op.h first, then model/MODEL.md|ok
core/a.c|return fail("see graph/op.h");|graph/op.h
core/a.c|#include "core/graph/graph.h"|ok
core/a.c|/* core/NAME/FILE.c, core/*.c, core/{ops,graph}/x.h, $HOME/core/x.h, https://x.org/tools/x.h */|ok
core/a.c|x.c = y.h;|ok
tools/run|# what tools/check runs|ok
tools/run|# what tools/setup runs|tools/setup
core/a.md|see ../tools/check and ../core/ops|ok
core/a.md|see ../tools/setup|../tools/setup
core/a.md|m3bsr-config(5) has the keys|ok
core/a.md|m3bsr-data(1) has the options|the page m3bsr-data.1
core/a.md|[the model](model/MODEL.md), [there](../core/model/MODEL.md#5-diffusion)|ok
core/a.md|[the model](MODEL.md)|the link MODEL.md
core/a.md|[there](model/MODEL.md#6-dropout)|the heading #6-dropout
core/a.md|[a site](https://example.org/a.h)|ok
ROWS
exit $failed
