# What test scripts share; each sources it first. $folder is a new folder of the test's own, $failures counts what
# failed, and $M3BSR is the tool.
set -u
: "${M3BSR:?the tool to test}"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
failures=0
# A driver that compiles on a busy machine is waited for without a word: words are compared.
export M3BSR_PATIENCE=${M3BSR_PATIENCE-900}

fail() {
    printf 'FAILED: %s\n' "$1"
    failures=$((failures + 1))
}

# check NAME STATUS PATTERN COMMAND...: the status, and a pattern in stdout and stderr together
check() {
    local name=$1 status=$2 pattern=$3 said got
    shift 3
    said=$("$@" 2>&1 </dev/null)
    got=$?
    if [ "$got" -ne "$status" ] || ! grep -qF -- "$pattern" <<<"$said"; then
        fail "$name: status $got, wanted $status and \"$pattern\" in:"$'\n'"$said"
    fi
}

# same FILE FILE: equal tensors; the headers before them have times in them
same() {
    cmp <(tensors "$1") <(tensors "$2")
}

tensors() {
    tail -c +$(($(od -An -t u8 -N 8 "$1") + 9)) "$1"
}
