#!/usr/bin/env bash
# 44 hours of 109 speakers (p315 has no texts). Options are those of fsqdiff.sh (--help);
# the corpus is fetched by local/data.sh (--local_data_opts "--corpus ...").

set -euo pipefail

cd "$(dirname "$0")"
./fsqdiff.sh \
    --fs 16000 \
    --token_type phn \
    --g2p espeak_ng_english_us_vits_joined \
    --cleaner tacotron,lower \
    --tokenizer_config conf/train_tokenizer.yaml \
    --tokenizer_model valid.mel_loss.ave.pth \
    --train_config conf/train_cdcd.yaml \
    --inference_config conf/decode.yaml \
    --licence "CC-BY-4.0 (recordings: CSTR VCTK Corpus 0.92)" \
    "$@"
