#!/bin/bash
# Code of somebody else is not run: a plugin that others could exchange is listed with the reason, by whatever way it is
# reached, and takes no other plugin down.
source "$(dirname "$0")/../support/script.sh"
umask 022
m=$M3BSR
plugin=$TEST_PLUGIN_DIR/fine.so

# refused NAME PATH PATTERN: the search of PATH loads no "fine", says why, and finds all else
refused() {
    local said
    said=$(timeout 60 "$m" plugins --plugin-path "$2" 2>&1)
    grep -qF -- "$3" <<<"$said" || fail "$1: \"$3\" is not in:"$'\n'"$said"
    ! grep -q '^loaded .* fine ' <<<"$said" || fail "$1: it is loaded"
    grep -q '^loaded .* reference ' <<<"$said" || fail "$1: the others are not loaded"
}

loads() {
    check "$1" 0 'loaded   expert      fine' "$m" plugins --plugin-path "$2"
}

mkdir -p "$folder/own" "$folder/open/closed" "$folder/links"
cp "$plugin" "$folder/own/"
cp "$plugin" "$folder/open/closed/"
chmod 777 "$folder/open"
ln -s "$folder/open/closed/fine.so" "$folder/links/fine.so"
mkfifo "$folder/fifo.so"
loads 'our own' "$folder/own"
loads 'our own by a crooked path' "$folder/links/../own/./fine.so"
refused 'below a folder that others write' "$folder/open/closed" "'$folder/open' can be written by others (mode 777, of user $(id -u))"
refused 'a file below such a folder' "$folder/open/closed/fine.so" 'remove that right (chmod go-w)'
refused 'a link to it' "$folder/links" "'$folder/open' can be written by others"
refused 'a FIFO' "$folder/fifo.so" "'$folder/fifo.so' is no regular file; a plugin is a shared object"
cd "$folder/own" || exit 1
refused 'a relative path' ../own "'../own' is not an absolute path; write it in full"
cd / || exit 1
chmod 1777 "$folder/open"
loads 'our own in a sticky folder' "$folder/open/closed"

if [ "$(id -u)" -eq 0 ]; then
    mkdir "$folder/theirs"
    cp "$plugin" "$folder/theirs/"
    chown 65533 "$folder/theirs"
    cp "$plugin" "$folder/links/given.so"
    ln -s "$folder/own/fine.so" "$folder/open/fine.so"
    chown -h 65533 "$folder/links/given.so" "$folder/open/fine.so"
    rm "$folder/links/fine.so"
    refused 'the file of somebody else' "$folder/links" "'$folder/links/given.so' belongs to user 65533 (mode 755), neither to root nor to you (user 0)"
    refused 'a folder of somebody else' "$folder/theirs" "'$folder/theirs' belongs to user 65533"
    refused 'a link of somebody else' "$folder/open/fine.so" "'$folder/open/fine.so' belongs to user 65533"
else
    echo 'not checked: files of somebody else, which only root can make'
fi
[ $failures -eq 0 ]
