#!/usr/bin/env bash
# Stage 1: find or fetch the corpus; options as of bin/prepare_corpus.py.
set -euo pipefail
. ./path.sh
exec ${python:-python3} -m espnet_fsqdiff.bin.prepare_corpus librispeech_mini "$@"
