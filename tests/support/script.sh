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
    local name=$1 said got
    shift
    ends "$@" || fail "$name: status $got, wanted $1 and \"$2\" in:"$'\n'"$said"
}

# ends STATUS PATTERN COMMAND...: whether it does; $got and $said are the caller's
ends() {
    local status=$1 pattern=$2
    shift 2
    said=$("$@" 2>&1 </dev/null)
    got=$?
    [ "$got" -eq "$status" ] && grep -qF -- "$pattern" <<<"$said"
}

# A machine may be slow, and stop a test at any moment for seconds: so none waits for a time where it can wait for what it is
# about, and what depends on who comes first is tried until it is met.

# check_limit NAME STATUS PATTERN COMMAND...: a check of what a limit of time does. LIMIT in the pattern and the command is its
# seconds, TWICE twice as many. On a busy machine something else may take longer than a short one, but not than each.
check_limit() {
    local name=$1 limit twice said got
    shift
    for limit in 1 3 10 30 90; do
        twice=("${@//TWICE/$((2 * limit))}")
        ends "${twice[@]//LIMIT/$limit}" && return
    done
    fail "$name: status $got, wanted $1 and \"$2\" in:"$'\n'"$said"
}

# wait_until PID COMMAND...: until the command succeeds, as long as the process lives
wait_until() {
    local pid=$1
    shift
    until "$@"; do
        kill -0 "$pid" 2>/dev/null || return 1
        sleep 0.02
    done
}

# interrupt SIGNAL FRESH READY COMMAND...: start the command after FRESH, and give it the signal once READY, a command too,
# succeeds, which may look at $pid. $status is how it ended, and what it said is in the file said. One that was over before
# the signal came is started again.
interrupt() {
    local signal=$1 fresh=$2 ready=$3 pid
    shift 3
    for _ in $(seq 20); do
        $fresh
        "$@" >said 2>&1 &
        pid=$!
        # shellcheck disable=SC2086 # words
        wait_until $pid $ready
        kill "-$signal" $pid 2>/dev/null
        wait $pid
        status=$?
        [ $status = 0 ] || return
    done
}

# same FILE FILE: equal tensors; the headers before them have times in them
same() {
    cmp <(tensors "$1") <(tensors "$2")
}

tensors() {
    tail -c +$(($(od -An -t u8 -N 8 "$1") + 9)) "$1"
}
