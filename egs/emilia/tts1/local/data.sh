#!/usr/bin/env bash
# Stage 1: data directories of every shard by --num_jobs jobs, then the sets.
# Other options as of bin/prepare_corpus.py.
set -euo pipefail
. ./path.sh
. ./cmd.sh || exit 2

num_jobs=$(nproc)
output_dir=data
args=()
while [ $# -gt 0 ]; do
    case "$1" in
        --num_jobs) num_jobs=${2:-}; shift $(($# > 1 ? 2 : 1)) ;;
        --output_dir) output_dir=${2:-}; args+=("$1"); shift ;;
        *) args+=("$1"); shift ;;
    esac
done
[[ "${num_jobs}" =~ ^[1-9][0-9]*$ ]] || {
    echo "data.sh: error: --num_jobs is a number above 0, not '${num_jobs}'" >&2
    exit 2
}

prepare=("${python:-python3}" -m espnet_fsqdiff.bin.prepare_corpus emilia "${args[@]}")
${train_cmd} JOB=1:"${num_jobs}" "${output_dir}/log/shards.JOB.log" \
    "${prepare[@]}" --num_jobs "${num_jobs}" --job JOB
exec "${prepare[@]}" --merge true
