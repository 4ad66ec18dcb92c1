#!/usr/bin/env bash
# Tens of thousands of hours from the web, with the paper's network and training:
#   ./run.sh --local_data_opts "--corpus /path/to/Emilia-Dataset" --ngpu 8
# Options are those of fsqdiff.sh (--help). Texts come as they are spoken from stage 1.

set -euo pipefail

cd "$(dirname "$0")"
./fsqdiff.sh \
    --fs 16000 \
    --max_wav_duration 30 \
    --token_type char \
    --cleaner lower \
    --tokenizer_config conf/train_tokenizer.yaml \
    --tokenizer_model valid.mel_loss.ave.pth \
    --train_config conf/train_cdcd.yaml \
    --inference_config conf/decode.yaml \
    --licence "CC-BY-NC-4.0 (recordings: Emilia; non-commercial use only)" \
    "$@"
