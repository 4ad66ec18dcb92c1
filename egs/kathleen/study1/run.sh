#!/usr/bin/env bash
# Codebooks, RVQ tokens and a language model against each other, on one real voice.
#   ./run.sh                   within 8 hours on 2 cores; a killed run goes on
#   ./run.sh --quick true      a few updates and sentences: a test that all runs
# All other options are those of study.sh (--help).

set -euo pipefail

cd "$(dirname "$0")"
./study.sh \
    --tokenizer_tag train_tokenizer \
    --tokenizer_model valid.mel_loss.ave.pth \
    --train_config ../tts1/conf/train_cdcd.yaml \
    --lm_config ../tts1/conf/train_lm.yaml \
    --lm_decode_config ../tts1/conf/decode_lm.yaml \
    --text_opts "--fs 16000 --token_type phn --g2p espeak_ng_english_us_vits_joined --cleaner tacotron,lower" \
    "$@"
