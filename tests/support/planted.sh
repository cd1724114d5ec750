# What tests with a backend of planted faults (tests/conformance/faulty) share.
source "$(dirname "${BASH_SOURCE[0]}")/script.sh"
[ -e "$FAULTY_DIR/m3bsr_backend_faulty.so" ] || { echo 'skipped: there is no backend cpu to be wrong with'; exit 77; }

# planted NAME STATUS SAYS LAYER...: run the suite on the backend with this fault; what is between & must be said, LIMIT being
# the seconds that a case may take where the fault hangs, BEGIN those that the first may. Prints which case found it.
planted() {
    local fault=$1 status=$2 rest=$3 limit said got limits=120
    shift 3
    # On a busy machine something else may take longer than a short limit, and threads may not meet.
    [[ $fault == *hang* ]] && limits='1 5 25'
    [[ $fault == *_static* ]] && limits='120 120 120 120 120'
    local says=$rest
    for limit in $limits; do
        said=$(M3BSR_FAULT=$fault "$M3BSR" conformance --plugin-path "$FAULTY_DIR" --backend faulty "$@" --timeout "$limit" \
            2>&1 </dev/null)
        got=$?
        rest=${says//LIMIT/$limit} rest=${rest//BEGIN/$((5 * limit))}
        while [ -n "$rest" ] && grep -qF -- "${rest%% & *}" <<<"$said"; do
            [[ $rest == *" & "* ]] && rest=${rest#* & } || rest=
        done
        [ "$got" -eq "$status" ] && [ -z "$rest" ] && break
    done
    [ "$got" -eq "$status" ] && [ -z "$rest" ] ||
        fail "$fault: status $got, wanted $((status)) and \"$says\" in:"$'\n'"$(head -c 3000 <<<"$said")"
    printf '%-22s %s\n' "$fault" "$(grep -m 1 -E 'FAIL |^error' <<<"$said" | sed 's/^ *FAIL *//' | cut -c -170)"
}
