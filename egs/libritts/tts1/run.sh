#!/usr/bin/env bash
# 245 hours of 1151 speakers. Options are those of fsqdiff.sh (--help);
# the corpus is fetched by local/data.sh (--local_data_opts "--corpus ..."), and what
# is scored are the 1127 zero-shot pairs of LibriSpeech-PC (or --test_sets test).

set -euo pipefail

cd "$(dirname "$0")"
./fsqdiff.sh \
    --local_data_opts "--librispeech download" \
    --test_sets librispeech_pc \
    --fs 16000 \
    --token_type phn \
    --g2p espeak_ng_english_us_vits_joined \
    --cleaner tacotron,lower \
    --tokenizer_config conf/train_tokenizer.yaml \
    --tokenizer_model valid.mel_loss.ave.pth \
    --train_config conf/train_cdcd.yaml \
    --inference_config conf/decode.yaml \
    --licence "CC-BY-4.0 (recordings: LibriTTS)" \
    "$@"
