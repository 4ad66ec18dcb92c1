#!/usr/bin/env bash
# The numerical claims of arXiv 2606.09962: tables, figures and a report. It needs no corpus.
#   ./run.sh                   within 30 minutes on 2 cores
#   ./run.sh --quick true      within 2 minutes: small samples, a check that everything runs

set -euo pipefail

log() {
    echo "$(date '+%Y-%m-%dT%H:%M:%S') (${0##*/}:${BASH_LINENO[0]}) $*"
}
die() {
    echo "${0##*/}: error: $*" >&2
    exit 2
}

stage=1                            # first stage to run
stop_stage=8                       # last stage to run
quick=false                        # small samples, in exp/quick
expdir=                            # where to write; exp/full or exp/quick by default
counts=local/counts_kathleen.txt   # token counts for stage 4: `code count` lines
nj=$(nproc)                        # processes
python=python3                     # the Python to use

names=("" paths distance accuracy priors counterexamples toy figures report)

help_message=$(cat << EOM
Usage: run.sh [--option value ...]

Stages:
   1 paths                path KL: closed form, quadrature, simulation
   2 distance             nearest-neighbour distances: random codebooks, ascents
   3 accuracy             optimal accuracy: grids, random codebooks, the line
   4 priors               with the frequencies of real tokens
   5 counterexamples      lattices and searched codebooks that beat the grid
   6 toy                  training the small model on laws that are known
   7 figures              from the tables
   8 report               from tables and figures

Options and their values:
$(sed -nE '/^stage=/,/^python=/s/^([a-z]\w*)=([^#]*[^# ])? *(# (.*))?$/  --\1 (\2) \4/p' "$0")
EOM
)

run_args=("$@")
cd "$(dirname "$0")"
. utils/parse_options.sh
[ $# -eq 0 ] || die "unexpected argument $1; --help names the options"
. ./path.sh
for number in stage stop_stage nj; do
    [[ "${!number}" =~ ^[0-9]+$ ]] || die "option --${number} is a number, not '${!number}'"
done
if [ -z "${expdir}" ]; then
    expdir=exp/full
    [ "${quick}" = false ] || expdir=exp/quick
fi
# Processes share the cores; none starts threads of its own.
export OMP_NUM_THREADS=1 MKL_NUM_THREADS=1

running=
trap '[ $? -eq 0 ] || [ -z "${running}" ] || echo "${0##*/}: stage ${running} (${names[running]}) failed" >&2' EXIT

log "$0 ${run_args[*]}"
mkdir -p "${expdir}"
for ((number = stage < 1 ? 1 : stage; number <= stop_stage && number <= 8; number++)); do
    log "Stage ${number}: ${names[number]}"
    started=$(date +%s.%N)
    running=${number}
    ${python} -m espnet_fsqdiff.bin.fsq_optimality --stage_name "${names[number]}" \
        --output_dir "${expdir}" --quick "${quick}" --counts "${counts}" --nj "${nj}"
    running=
    # The last line of a stage counts.
    printf '%d %s %.1f\n' "${number}" "${names[number]}" \
        "$(echo "${started} $(date +%s.%N)" | awk '{print $2 - $1}')" >> "${expdir}/wall_seconds.txt"
done
log "Done. [stages ${stage} to ${stop_stage}]"
