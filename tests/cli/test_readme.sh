#!/bin/bash
# The C program of README.md compiles without a warning, trains from the file that it names, and says what is wrong.
# Labels: release
source "$(dirname "$0")/../support/script.sh"
export XDG_CACHE_HOME=$folder/cache
sed -n '/^```c$/,/^```$/p' "$SOURCE_DIR/README.md" | sed '/^```/d' >"$folder/readme.c"
[ "$(grep -c '' "$folder/readme.c")" -ge 10 ] || fail 'README.md has no C program'
"$CC" -std=c17 -Wall -Wextra -Werror -I"$SOURCE_DIR/include" "$folder/readme.c" -o "$folder/readme" \
    -L"$BUILD_DIR/lib" -Wl,-rpath,"$BUILD_DIR/lib" -lm3bsr || fail 'it does not compile'
cd "$folder" || exit 1
check 'without a configuration' 1 'config.yaml' ./readme
"$M3BSR" data synth --out source --users 60 --items 40 --clusters 4 --width 8 >log 2>&1 &&
    "$M3BSR" data import source --out shop.set >log 2>&1 || fail "making a data set: $(cat log)"
printf 'data: shop.set\nwidth: 8\nheads: 2\nlength: 4\nepochs: 1\nexpert_layers: 1\n' >config.yaml
check 'training' 0 '' ./readme
[ -e run/last.safetensors ] || fail 'it trained nothing'
exit "$((failures > 0))"
