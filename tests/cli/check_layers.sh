#!/bin/bash
# check_layers ROOT: prints every include that goes against the arrows; exit status 1 if there is one.
#   tools -> core/{bench,plan} -> core/train -> core/serve -> core/run -> core/{settings,programs,conformance}
#     -> core/{model,data,parallel} -> core/runtime -> core/passes -> core/graph -> core/ops -> core/base -> include
# A folder of core includes itself and folders further down, so no two include each other.
# Plugins see include/m3bsr and their own folder, backends also what they share: backends/host and backends/lowering.
# The command line sees include/m3bsr and its own folder.
set -u
cd "$1" || exit 2
find include core backends plugins tools -name '*.[ch]' 2>/dev/null | sort | xargs -r awk '
BEGIN {
    level["base"] = 0; level["ops"] = 1; level["graph"] = 2; level["passes"] = 3; level["runtime"] = 4
    level["model"] = level["data"] = level["parallel"] = 5; level["settings"] = level["programs"] = level["conformance"] = 6
    level["run"] = 7; level["serve"] = 8; level["train"] = 9; level["bench"] = level["plan"] = 10
}
function is_shared(folder) { return folder == "backends/host" || folder == "backends/lowering" }
function refuse(why) { printf "%s:%d: includes \"%s\": %s\n", FILENAME, FNR, header, why; bad = 1 }
/^[ \t]*#[ \t]*include[ \t]*"/ {
    split($0, quoted, "\""); header = quoted[2]
    split(FILENAME, own, "/"); parts = split(header, to, "/")
    if (header ~ /\.\./) { refuse("paths go down from the root, without .."); next }
    if (to[1] == "m3bsr" || header ~ /\.inc$/) next # a public header, or what the build makes
    if (own[1] == "include") refuse("a public header includes public headers alone")
    else if (own[1] == "core") {
        if (to[1] != "core" || !(to[2] in level)) refuse("core includes core/ and m3bsr/ alone")
        else if (!(own[2] in level)) refuse("core/" own[2] " has no place in the layers")
        else if (level[to[2]] >= level[own[2]] && to[2] != own[2]) refuse("core/" own[2] " does not lie above core/" to[2])
    } else if (own[1] == "tools") {
        if (parts > 1 && to[1] != "tools") refuse("the command line uses the public interface alone")
    } else if (to[1] ~ /^(core|tools|tests)$/) refuse("a plugin uses include/m3bsr and its own folder alone")
    else if (parts == 1) refuse("paths are whole: from the root of the sources")
    else if (to[1] ~ /^(backends|plugins)$/ && index(header, own[1] "/" own[2] "/") != 1 && !is_shared(to[1] "/" to[2])) refuse("a plugin includes no other plugin")
}
END { exit bad }'
