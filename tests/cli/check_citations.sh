#!/bin/bash
# check_citations ROOT [FOLDER]: prints what files of ROOT (or of its FOLDER) cite and ROOT does not have; exit status 1 if
# there is something:
#   MODEL.md 5.2, MODEL.md 4 to 10        a document, and its headings "## 4 …", "### 5.2 …"
#   core/ops/op.h, tools/check, plugins/  a path from the root
#   lowering/lower.h, hazards.c           a source or document that is named shorter: some path must end so; in a README of
#                                         core/ or backends/ a bare name lies below the README's folder
#   m3bsr-config(5)                       a manual page
#   ../lowering                           a path of a document, from its folder
#   [text](../README.md#title)            a link of a document, with its heading
# Words in capitals stand for something (backends/NAME/README.md), and *, {, $ and < end a path. Comments, documents and
# messages count, #include lines do not.
set -u
cd "$1" || exit 2
list=$(mktemp)
trap 'rm -f "$list"' EXIT
# In a clone, what is or could be committed; else all that is there.
{ [ -e .git ] && git ls-files --cached --others --exclude-standard 2>/dev/null; } >"$list" ||
    find . \( -name .git -o -name build \) -prune -o -type f -print | sed 's,^\./,,' | sort >"$list"
# Left out: what is data, and tests of checks, whose planted faults cite what is not there.
grep "^${2-}" "$list" | grep -vE '^(LICENSE|tests/(vectors|fuzz/corpus)/.*|tests/cli/(test|check)_(citations|layers)\.sh)$' |
    awk -v list="$list" '
function note(path,    i, rest) { # the path, its folders, and all their ends
    rest = path
    do { ends[rest] = 1; i = index(rest, "/"); rest = substr(rest, i + 1) } while (i > 0)
}
function refuse(what) { printf "%s:%d: cites %s, which does not exist\n", file, line, what; bad = 1 }
function is_here(token,    folder) {
    folder = file
    if (token ~ /\// || !sub(/\/README\.md$/, "", folder) || folder !~ /^(core|backends)/) return token in ends
    return (folder, token) in below
}
function slug(title) {
    title = tolower(title); gsub(/[^a-z0-9 _-]/, "", title); gsub(/ /, "-", title)
    return title
}
function headings(path,    text, title) { # of a document: its numbers and its slugs
    if (path in known) return
    known[path] = 1
    while ((getline text < path) > 0) if (text ~ /^#+ /) {
        title = text; sub(/^#+ /, "", title); anchors[path, slug(title)] = 1
        if (match(title, /^[0-9]+(\.[0-9]+)? /)) sections[path, substr(title, 1, RLENGTH - 1)] = 1
    }
    close(path)
}
function join(folder, target,    i, n, part, out) { # folder/target without . and ..
    n = split((folder == "" ? "" : folder "/") target, part, "/"); out = ""
    for (i = 1; i <= n; i++) {
        if (part[i] == "." || part[i] == "") continue
        if (part[i] == ".." && out !~ /\//) out = ""
        else if (part[i] == "..") sub(/\/[^\/]*$/, "", out)
        else out = (out == "" ? "" : out "/") part[i]
    }
    return out
}
function section(name, text,    path, number) { # text: what follows "NAME.md "
    path = places[name]
    headings(path)
    while (match(text, /^[0-9]+(\.[0-9]+)?/)) {
        number = substr(text, 1, RLENGTH); text = substr(text, RLENGTH + 1)
        if (!((path, number) in sections)) refuse(name " " number)
        if (!match(text, /^(, | and | to )[0-9]/)) break
        text = substr(text, RLENGTH)
    }
}
function check_documents(text,    name) {
    while (match(text, /[A-Z][A-Za-z-]*\.md/)) {
        name = substr(text, RSTART, RLENGTH); text = substr(text, RSTART + RLENGTH)
        if (name in places && text ~ /^ [0-9]/) section(name, substr(text, 2))
    }
}
function check_pages(text,    name) {
    while (match(text, /m3bsr(-[a-z]+)?\([1-9]\)/)) {
        name = substr(text, RSTART, RLENGTH); text = substr(text, RSTART + RLENGTH)
        sub(/\(/, ".", name); sub(/\)/, "", name)
        if (have_pages && !((name ".scd") in ends) && !(name in ends)) refuse("the page " name)
    }
}
function check_paths(text,    token, before) {
    text = " " text
    while (match(text, /[A-Za-z0-9_.\/-]*[A-Za-z0-9_\/-]/)) {
        before = substr(text, RSTART - 1, 1); token = substr(text, RSTART, RLENGTH); text = substr(text, RSTART + RLENGTH)
        after = substr(text, 1, 1)
        if (token ~ /^\.\.\// && file ~ /\.md$/) {
            folder = file; if (!sub(/\/[^\/]*$/, "", folder)) folder = ""
            if (after !~ /[*{$<]/ && token !~ /[A-Z]/ && !(join(folder, token) in whole)) refuse(token)
            continue
        }
        if (before ~ /[$}>@~*%]/ || after ~ /[*{$<%@=]/ || token ~ /^[\/-]|\.\.|\/\//) continue
        sub(/\/+$/, "", token)
        if (token ~ /(^|\/|_)[A-Z]+([._\/]|$)/ && token !~ /\.(md|txt)$/) continue
        if (token ~ /^[A-Z]+\/|\/[A-Z]+\//) continue
        if (token ~ /^(core|include|backends|plugins|shaders|tests|tools|\.github|\.ci)\//) {
            if (!(token in ends)) refuse(token)
        } else if (token ~ /[A-Za-z0-9][A-Za-z0-9]\.(c|h|md|cl|comp|glsl|sh|scd|py)$/ && !is_here(token) && !(token in foreign))
            refuse(token)
    }
}
function check_links(text,    target, anchor, folder, path) {
    folder = file; if (!sub(/\/[^\/]*$/, "", folder)) folder = ""
    while (match(text, /\]\([^) ]+\)/)) {
        target = substr(text, RSTART + 2, RLENGTH - 3); text = substr(text, RSTART + RLENGTH)
        if (target ~ /^[a-z]+:/) continue
        anchor = ""; if (match(target, /#.*/)) { anchor = substr(target, RSTART + 1); target = substr(target, 1, RSTART - 1) }
        path = target == "" ? file : join(folder, target)
        if (!(path in whole)) { refuse("the link " target); continue }
        if (anchor != "") { headings(path); if (!((path, anchor) in anchors)) refuse("the heading #" anchor) }
    }
}
BEGIN {
    while ((getline path < list) > 0) {
        part = path; note(part); whole[part] = 1
        name = path; sub(/.*\//, "", name); if (name ~ /\.md$/ && !(name in places)) places[name] = path
        if (name ~ /\.[1-9](\.scd)?$/) have_pages = 1
        while (sub(/\/[^\/]*$/, "", part)) {
            below[part, name] = 1
            if (!(part in whole)) { note(part); whole[part] = 1 }
        }
    }
    split("cl.h CL/cl.h csv.h clblast_c.h vulkan_core.h vulkan/vulkan_core.h cmocka.h", words, " ")
    for (i in words) foreign[words[i]] = 1
}
{
    file = $0; line = 0
    if (file ~ /\.md$/) { # files that a guide lets its reader write: ```c plugin.c
        while ((getline text < file) > 0) if (text ~ /^```[a-z]+ [^ ]+$/) { split(text, words, " "); foreign[words[2]] = 1 }
        close(file)
    }
    while ((getline text < file) > 0) {
        line++
        if (text ~ /^[ \t]*#[ \t]*include/ || text ~ /https?:\/\//) continue
        check_documents(text); check_pages(text); check_paths(text)
        if (file ~ /\.md$/) check_links(text)
    }
    close(file)
}
END { exit bad }'
