#!/usr/bin/env bash
# A small corpus of our own, spoken by flite, through every stage.
#   ./run.sh --preset demo    minutes of training: the demonstration of `make demo`
#   ./run.sh --preset full    the default: about 20 minutes of training on 2 cores
#   ./run.sh --preset test    a few utterances, one epoch: the integration test
#   ./run.sh --domain open    several hundred words instead of 115
# All other options are those of fsqdiff.sh (--help).

set -euo pipefail

preset=full
domain=small
args=()
while [ $# -gt 0 ]; do
    case "$1" in
        --preset) preset=${2:-}; shift $(($# > 1 ? 2 : 1)) ;;
        --domain) domain=${2:-}; shift $(($# > 1 ? 2 : 1)) ;;
        -h|--help) sed -n '2,/^$/s/^# *//p' "$0"; args+=("$1"); shift ;;
        *) args+=("$1"); shift ;;
    esac
done

# full and demo share the corpus; what is trained from it is kept apart.
corpus_opts="--domain ${domain}"
part=""
opts=()
case "${preset}" in
    full) ;;
    demo) opts=(--expdir exp/demo) ;;
    test)
        corpus_opts+=" --num_train 24 --num_valid 4 --num_test 4"
        part=/tiny
        opts=(--expdir exp/tiny)
        ;;
    *)
        echo "run.sh: error: --preset '${preset}' is unknown; use demo, full or test" >&2
        exit 2
        ;;
esac
if [ "${domain}" != small ]; then
    part+=/${domain}
    opts=(--expdir "exp/${domain}_${preset}")
fi

cd "$(dirname "$0")"
./fsqdiff.sh \
    --datadir "data${part}" \
    --dumpdir "dump${part}" \
    "${opts[@]}" \
    --local_data_opts "${corpus_opts}" \
    --fs 16000 \
    --token_type char \
    --cleaner lower \
    --tokenizer_config "conf/train_tokenizer_${preset}.yaml" \
    --train_config "conf/train_cdcd_${preset}.yaml" \
    --inference_config conf/decode.yaml \
    --licence "made by flite, whose licence is of the BSD kind" \
    "${args[@]}"
