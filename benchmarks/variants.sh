#!/usr/bin/env bash
# Train variants of a recipe's decoder from the same tokens and compare them:
#   benchmarks/variants.sh egs/mini/tts1 --preset demo [-- joint pairwise ...]
#   benchmarks/variants.sh egs/kathleen/tts1 --train_args "--max_epoch 3" [-- ...]
# The recipe has to have run up to stage 9 with the same options; --train_args are every
# variant's. Every variant is
# stage 10 of the recipe with other --train_args, then its validation losses and
# benchmarks.quality --parts base. What was done is not done again.

set -euo pipefail

declare -A variants=(
    [base]=""
    [joint]="--head joint"
    [factorized]="--head factorized"
    [pairwise]="--head pairwise"
    [self_conditioning]="--backbone_conf self_conditioning=true --loss_conf self_conditioning=0.5"
    [information]="--loss_conf time_sampling=information"
    [duration]="--text_expansion duration"
    [uniform]="--text_expansion uniform"
    [filler]="--text_expansion filler --text_encoder_conf place=false --text_encoder_conf positions=true --text_encoder_conf num_symbol_layers=0 --text_encoder_conf num_layers=4"
)
order=(base joint factorized pairwise self_conditioning information duration uniform filler)

[ $# -gt 0 ] || { sed -n '2,/^$/s/^# *//p' "$0" >&2; exit 2; }
recipe=$1
shift
options=()
train_args=
while [ $# -gt 0 ] && [ "$1" != -- ]; do
    if [ "$1" = --train_args ]; then
        train_args=$2
        shift 2
        continue
    fi
    options+=("$1")
    shift
done
[ $# -gt 1 ] && order=("${@:2}")

root=$(cd "$(dirname "$0")/.." && pwd)
expdir=exp
dumpdir=dump
for ((i = 0; i + 1 < ${#options[@]}; i++)); do
    [ "${options[i]} ${options[i + 1]}" = "--preset demo" ] && expdir=exp/demo
done
cd "${recipe}"
. ./path.sh
tokenizer=$(echo "${expdir}"/tokenizer_train_*)
tag=${tokenizer##*/tokenizer_}
# The recipes differ in the loss that chose it.
tokenizer_models=("${tokenizer}"/valid.*.ave.pth)
for variant in "${order[@]}"; do
    [ -v "variants[${variant}]" ] || { echo "variants.sh: error: no variant ${variant}" >&2; exit 2; }
    exp=${expdir}/cdcd_variant_${variant}
    if [ ! -e "${exp}/valid.loss.ave.pth" ]; then
        ./run.sh "${options[@]}" --stage 10 --stop_stage 10 --tag "variant_${variant}" \
            --train_args "${train_args} ${variants[${variant}]}" >&2
    fi
    echo "== ${variant}"
    grep -o '\[valid\].*' "${exp}/train.log" | tail -n 1
    PYTHONPATH="${root}${PYTHONPATH:+:${PYTHONPATH}}" python3 -m benchmarks.quality \
        --exp "${exp}" --tokenizer_exp "${tokenizer}" \
        --tokenizer_model "${tokenizer_models[0]##*/}" \
        --duration_file "${expdir}/duration_${tag}/duration.yaml" \
        --data_dir "${dumpdir}/raw/test" --tokens_dir "${dumpdir}/tokens/${tag}/test" \
        --output_dir "${exp}/sampling" --parts base
done
