#!/bin/bash
# The manual has a section for every command that the tool offers, and names every option that its help does: on the
# command's own page if there is one, else in m3bsr(1).
set -u
pages=$SOURCE_DIR/tools/man
manual=$pages/m3bsr.1.scd
failed=0
commands=$("$M3BSR" --help | awk '/^  [a-z]+ / && $1 != "help" {print $1}')
[ -n "$commands" ] || { echo "FAILED: m3bsr --help lists no command"; exit 1; }

for command in $commands; do
    grep -qE "^## $command( |\$)" "$manual" || { echo "FAILED: no section on $command"; failed=1; }
    for option in $("$M3BSR" "$command" --help 2>&1 | grep -oE '(^|[ ,(])--[a-z][a-z-]*' | grep -oE -- '--.*' | sort -u); do
        [ "$option" = --help ] && continue
        cat "$pages/m3bsr-$command.1.scd" "$manual" 2>/dev/null | grep -qF -- "$option" || { echo "FAILED: $command has $option, the manual has not"; failed=1; }
    done
done
exit $failed
