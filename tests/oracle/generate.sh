#!/bin/sh
# Makes vector files again: generate.sh [FOLDER [NAME...]], by default all of them into tests/vectors.
# Needs python3-torch and python3-numpy; PYTHON names another interpreter. README.md has the rest.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
folder=${1-$here/vectors}
[ $# -eq 0 ] || shift
names=" $* "

# vector NAME ARGUMENTS...: one file, unless other names were given
vector() {
    name=$1
    shift
    case "$names" in "  " | *" $name "*) ;; *) return 0 ;; esac
    "${PYTHON:-python3}" "$here/m3bsr_oracle.py" "$folder/$name.safetensors" "$@"
}

vector base        --seed 1
vector gru         --seed 2  --set expert=gru
vector pool        --seed 3  --set expert=pool
vector mingru      --seed 61 --set expert=mingru
vector conv        --seed 62 --set expert=conv --set expert_taps=3 --set expert_layers=1
vector mlp-encoder --seed 4  --set encoder=mlp
vector x0          --seed 5  --set objective=x0 --set infer_steps=3
vector sigmoid     --seed 6  --set router=sigmoid
vector sampled     --seed 7  --set loss=sampled --set negatives=4
vector three       --seed 8  --set behaviors=3 --set 'modalities=[6]' --set batch=4
vector one         --seed 9  --set behaviors=1 --set 'modalities=[]' --set length=6
vector id-only     --seed 10 --set 'modalities=[]'
vector no-denoise  --seed 11 --set modality_denoise=false --set behavior_denoise=false
vector decay       --seed 12 --set weight_decay=0.01 --set clip=0.1 --set train_steps=5
# With the seeds of users, scores-sampled, modality-scores and modality-table, the last user has no history at all.
vector gated       --seed 21 --set denoise=gated
vector gated-x0    --seed 22 --set denoise=gated --set denoise_scale=0 --set objective=x0 --set infer_start=10 \
    --set infer_steps=3 --set behaviors=3 --set 'modalities=[6]' --set batch=4
vector balanced    --seed 23 --set router=balanced --set router_floor=0.2
vector specific    --seed 24 --set interests=specific --set router=balanced
vector common      --seed 25 --set interests=common
vector users       --seed 35 --set contrast=users --set w_contrast=0.5
vector table       --seed 27 --set fusion=table
vector scores      --seed 28 --set fusion=scores
vector scores-sampled --seed 74 --set fusion=scores --set loss=sampled --set negatives=4 --set router=sigmoid \
    --set denoise=gated --set encoder=mlp
vector table-sampled  --seed 30 --set fusion=table --set loss=sampled --set negatives=4 --set contrast=users \
    --set w_contrast=0.2 --set expert=pool
vector lone        --seed 31 --set behaviors=1 --set 'modalities=[]' --set interests=specific --set router=balanced \
    --set length=6
vector whole       --seed 32 --set denoise=gated --set router=balanced --set contrast=users --set fusion=table \
    --set objective=x0 --set behaviors=3 --set 'modalities=[6,4]' --set expert=gru --set weight_decay=0.01 \
    --set clip=0.1 --set train_steps=5 --set w_modality=1 --set w_behavior=1 --set w_contrast=0.1
vector modality    --seed 41 --set router=modality --set denoise=gated
vector modality-scores --seed 218 --set router=modality --set fusion=scores --set loss=sampled --set negatives=4 \
    --set behaviors=3 --set 'modalities=[6,4]' --set batch=4 --set expert_layers=1
vector modality-table  --seed 43 --set router=modality --set fusion=table --set interests=specific \
    --set contrast=users --set w_contrast=0.5
vector normed      --seed 51 --set router=normed --set denoise=gated
# With this seed two users have the same target, and the last user has another one and no history at all.
vector targets     --seed 439 --set contrast=targets --set w_contrast=0.5 --set batch=4
vector trend       --seed 54 --set trend=50
vector trend-sampled  --seed 56 --set trend=50 --set loss=sampled --set negatives=4 --set fusion=scores \
    --set router=normed --set contrast=targets --set w_contrast=0.1

# Sizes nearer to real ones, 8 MB: made by name alone, and not kept in tests/vectors.
case "$names" in *" wide "*)
    vector wide --seed 13 --set width=64 --set heads=4 --set length=20 --set batch=6 --set items=50 \
        --set 'modalities=[32,48]' --set diffusion_steps=100 --set infer_start=50 --set train_steps=2 --set expert_layers=1
    ;;
esac
