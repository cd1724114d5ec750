# What tests with a backend of planted faults (tests/conformance/faulty) share.
source "$(dirname "${BASH_SOURCE[0]}")/script.sh"
[ -e "$FAULTY_DIR/m3bsr_backend_faulty.so" ] || { echo 'skipped: there is no backend cpu to be wrong with'; exit 77; }

# planted NAME STATUS SAYS LAYER...: run the suite on the backend with this fault; what is between & must be said. Prints
# which case found it.
planted() {
    local fault=$1 status=$2 rest=$3 said got
    shift 3
    said=$(M3BSR_FAULT=$fault "$M3BSR" conformance --plugin-path "$FAULTY_DIR" --backend faulty "$@" \
        --timeout $([[ $fault == *hang* ]] && echo 1 || echo 120) 2>&1 </dev/null)
    got=$?
    local says=$rest
    while [ -n "$rest" ] && grep -qF -- "${rest%% & *}" <<<"$said"; do
        [[ $rest == *" & "* ]] && rest=${rest#* & } || rest=
    done
    [ "$got" -eq "$status" ] && [ -z "$rest" ] ||
        fail "$fault: status $got, wanted $((status)) and \"$says\" in:"$'\n'"$(head -c 3000 <<<"$said")"
    printf '%-22s %s\n' "$fault" "$(grep -m 1 -E 'FAIL |^error' <<<"$said" | sed 's/^ *FAIL *//' | cut -c -170)"
}
