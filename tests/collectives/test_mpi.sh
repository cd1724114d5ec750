#!/bin/bash
# Ranks that mpirun starts, over the plugin mpi: what conformance asks of collectives, and ranks that die, hang or fail end
# all with their number, place and reason.
# Labels: release
source "$(dirname "$0")/../support/script.sh"
ranks=$BUILD_DIR/tests/collectives/ranks
[ -e "$PLUGIN_DIR/m3bsr_collectives_mpi.so" ] || { echo 'skipped: built without MPI (libopenmpi-dev or libmpich-dev)'; exit 77; }
command -v mpirun >/dev/null || { echo 'skipped: there is no mpirun (openmpi-bin or mpich)'; exit 77; }
# Open MPI asks whether these are meant; MPICH's mpirun knows neither.
how=
mpirun --version 2>&1 | grep -q 'Open MPI' && how='--oversubscribe --allow-run-as-root'

# start COUNT ARGUMENT...: $folder/out has what the ranks said
start() {
    # shellcheck disable=SC2086 # words
    timeout 300 mpirun $how -n "$1" "$ranks" "${@:2}" >"$folder/out" 2>"$folder/err"
}

# said LINE...: each is in the output
said() {
    local line
    for line in "$@"; do grep -qE -- "$line" "$folder/out" || { fail "nobody said '$line':"; cat "$folder/out" "$folder/err"; }; done
}

for count in 2 4; do
    start $count well 120 || { fail "$count ranks are not well"; cat "$folder/err"; }
    for ((i = 0; i < count; i++)); do said "^rank $i of $count: 6 checks, 0 failed"; done
    [ ! -s "$folder/err" ] || { fail 'something was printed:'; cat "$folder/err"; }
done
start 2 well 120 5000 || { fail '2 ranks with small messages are not well'; cat "$folder/err"; }
said '^rank 1 of 2: 6 checks, 0 failed'

start 3 fail 120 && fail 'a rank failed and mpirun says that all is well'
said '^rank [0-2]: rank 1: rank 1 of 3 \(process [0-9]+ on .*\) ended: run/log: the disk is full'
start 3 more 120 && fail 'a rank gave more and mpirun says that all is well'
said '^rank [0-2]: exchange: rank [0-9] of 3 .* they do not do the same'
# Open MPI kills the others a while after the first has died, and on a busy machine any may be silent.
for grace in 1 5 25; do
    export OMPI_MCA_odls_base_sigkill_timeout=$grace
    start 3 die 120 && fail 'a rank was killed and mpirun says that all is well'
    grep -q 'ended without a word' "$folder/out" && break
done
said '^rank [02]: rank 1: rank 1 of 3 \(process [0-9]+ on .*\) ended without a word'
for limit in 3 9 27; do
    start 3 hang $limit && fail 'a rank hung and mpirun says that all is well'
    grep -q ': rank 1: .* was silent' "$folder/out" && break
done
said "^rank [0-2]: rank 1: rank 1 of 3 \\(process [0-9]+ on .*\\) was silent for $limit s"
# Without mpirun a process is a group of one.
"$ranks" well 120 >"$folder/out" 2>"$folder/err" || { fail 'one rank without mpirun is not well'; cat "$folder/err"; }
said '^rank 0 of 1: 6 checks, 0 failed'
[ "$failures" -eq 0 ]
