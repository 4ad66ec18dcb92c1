#!/usr/bin/env bash
# 80 utterances of 8 speakers, real speech: a smoke test of several speakers.
#   ./run.sh                  # preset full: learns by heart, on 2 cores
#   ./run.sh --preset test    # one epoch of toy size through all stages
# All other options are those of fsqdiff.sh (--help).

set -euo pipefail

preset=full
args=()
while [ $# -gt 0 ]; do
    case "$1" in
        --preset) preset=${2:-}; shift $(($# > 1 ? 2 : 1)) ;;
        -h|--help) sed -n '2,/^$/s/^# *//p' "$0"; args+=("$1"); shift ;;
        *) args+=("$1"); shift ;;
    esac
done
case "${preset}" in
    full | test) ;;
    *)
        echo "run.sh: error: --preset '${preset}' is unknown; use full or test" >&2
        exit 2
        ;;
esac

cd "$(dirname "$0")"
./fsqdiff.sh \
    --expdir "exp/${preset}" \
    --fs 16000 \
    --max_wav_duration 22 \
    --token_type char \
    --cleaner lower \
    --tokenizer_config "conf/train_tokenizer_${preset}.yaml" \
    --train_config "conf/train_cdcd_${preset}.yaml" \
    --inference_config conf/decode.yaml \
    --licence "CC-BY-4.0 (recordings: LibriSpeech)" \
    "${args[@]}"
