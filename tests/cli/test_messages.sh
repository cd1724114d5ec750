#!/bin/bash
# What a message of the program names is there: options of commands (--resume), keys and options of devices (tune=yes,
# "the option fail_after"), and commands (`m3bsr tune`).
source "$(dirname "$0")/../support/script.sh"
m=$M3BSR
cd "$SOURCE_DIR" || exit 1

# The string literals of the program, a line each; without comments and directives.
find core tools/m3bsr backends plugins include -name '*.[ch]' -print0 | xargs -0 grep -hvP '^\s*(/?\*|//|#)' |
    grep -ohP '"(?:[^"\\]|\\.)*"' >"$folder/literals"
[ "$(wc -l <"$folder/literals")" -gt 2000 ] || fail 'the literals of the sources were not found'

# missing WHAT KNOWN NAMED: fails for each line of NAMED that is not in KNOWN.
missing() {
    local name
    [ -s "$3" ] || fail "no message names $1: the pattern finds nothing"
    while read -r name; do fail "a message names $1 $name, which is not there"; done < <(sort -u "$3" | comm -23 - "$2")
}

commands=$("$m" --help | awk '/^  [a-z]+ / && $1 != "help" {print $1}')
[ -n "$commands" ] || fail 'm3bsr --help lists no command'
for command in $commands; do "$m" help "$command" || fail "no help on $command"; done >"$folder/help" 2>&1
{ grep -ohP -- '--[a-z][a-z-]*' "$folder/help"; echo --version; } | sort -u >"$folder/flags"
grep -ohP -- '(?<![a-z-])--[a-z][a-z-]+' "$folder/literals" >"$folder/named"
missing 'the option' "$folder/flags" "$folder/named"

# Keys are in the manual (test_manual.c holds it to the library); options of devices are what the backends describe.
# Of others: key=value itself, build options of OpenCL (std), and the languages of pages and pictures (style).
grep -ohP '^\*[a-z0-9\\_]+\* \(' tools/man/m3bsr-config.5.scd | tr -d '*\\ (' >"$folder/keys"
"$m" devices -v 2>/dev/null | sed -nE 's/^  ([a-z_]+) .*/\1/p' >>"$folder/keys"
printf '%s\n' key std style >>"$folder/keys"
sort -u -o "$folder/keys" "$folder/keys"
for key in fail_after refuse lr schedule; do grep -qx $key "$folder/keys" || fail "$key is not among the known keys"; done
grep ' ' "$folder/literals" | grep -ohP '(?<![a-z_-])[a-z_]{2,}(?==[A-Za-z0-9])' >"$folder/named"
grep -ohP '\boption \K[a-z]+_[a-z_]+(?= )' "$folder/literals" >>"$folder/named"
missing 'the key' "$folder/keys" "$folder/named"

printf '%s\n' $commands | sort >"$folder/commands"
grep -ohP '`m3bsr \K[a-z]+' "$folder/literals" >"$folder/named"
missing 'the command' "$folder/commands" "$folder/named"

exit $((failures > 0))
