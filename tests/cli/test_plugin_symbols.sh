#!/bin/bash
# A plugin publishes m3_plugin_query and nothing else, and needs no symbol of ours.
# Labels: release
set -u
failed=0
plugins=0

for plugin in "$PLUGIN_DIR"/*.so; do
    [ -e "$plugin" ] || continue
    plugins=$((plugins + 1))
    defined=$("$NM" -D --defined-only "$plugin" | awk '{print $NF}' | tr '\n' ' ')
    ours=$("$NM" -D --undefined-only "$plugin" | awk '{print $NF}' | grep '^m3_' | tr '\n' ' ')
    if [ "$defined" != "m3_plugin_query " ]; then
        echo "FAILED: $plugin exports: $defined"
        failed=1
    fi
    if [ -n "$ours" ]; then
        echo "FAILED: $plugin needs: $ours"
        failed=1
    fi
done
if [ "$plugins" = 0 ]; then
    echo "FAILED: no plugin in $PLUGIN_DIR"
    failed=1
fi
echo "$plugins plugins"
exit $failed
