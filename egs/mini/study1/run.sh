#!/usr/bin/env bash
# Codebooks, RVQ tokens and a language model against each other, on the mini corpus.
#   ./run.sh                   about 2.5 hours on 2 cores; a killed run goes on
#   ./run.sh --quick true      a few updates and sentences: a test that all runs
# All other options are those of study.sh (--help).

set -euo pipefail

cd "$(dirname "$0")"
./study.sh \
    --tts1_opts "--preset demo" \
    --tts1_expdir exp/demo \
    --tokenizer_tag train_tokenizer_demo \
    --train_config ../tts1/conf/train_cdcd_demo.yaml \
    --lm_config ../tts1/conf/train_lm_demo.yaml \
    --lm_decode_config ../tts1/conf/decode_lm.yaml \
    --text_opts "--fs 16000 --token_type char --cleaner lower" \
    "$@"
