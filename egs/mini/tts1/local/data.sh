#!/usr/bin/env bash
# Stage 1: have flite speak sentences; options as of bin/make_mini_corpus.py.
set -euo pipefail
. ./path.sh
exec ${python:-python3} -m espnet_fsqdiff.bin.make_mini_corpus "$@"
