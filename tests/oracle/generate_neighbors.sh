#!/bin/sh
# Makes the vectors of section 5.5: generate_neighbors.sh [FOLDER [NAME ...]]. PYTHON: a python3 with numpy.
set -e
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/../vectors/neighbors}
[ $# -gt 0 ] && shift
names=" $* "
make() {
    name=$1; shift
    case "$names" in "  "|*" $name "*) "${PYTHON:-python3}" "$here/neighbors_oracle.py" "$out/$name.safetensors" "$@";; esac
}
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
make base --seed 18
make three --seed 5 --set behaviors=3 --set modalities=[5,11] --set missing=[0,0.3] --set users=20 --set items=32 --set clusters=4
make one --seed 2 --set behaviors=1 --set modalities=[7] --set users=16 --set clicks=[10,24]
make raw --seed 28 --set modality_denoise=false --set modalities=[9,4] --set missing=[0.1,0.2] --set noise_items=0.04
make features --seed 2 --set behavior_denoise=false --set modalities=[3,13] --set missing=[0.15,0] --set users=18 --set length=6
make wide --seed 33 --set users=55 --set items=120 --set clusters=4 --set modalities=[20] --set missing=[0.03] --set clicks=[12,21] --set length=6
make clean --seed 4 --set accidental=0 --set noise_items=0 --set early=0
make useless --seed 1 --set modalities=[6,9] --set missing=[0.1,0.15] --set useless=[1,0]
make nothing --seed 1 --set modalities=[8] --set missing=[0.1] --set useless=[1]
