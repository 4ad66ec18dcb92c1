#!/usr/bin/env bash
# Decoders trained from the same tokens with the same budget, sampled, scored, compared.
# Run it through a recipe's run.sh; --help names stages and options.

set -euo pipefail

log() {
    echo "$(date '+%Y-%m-%dT%H:%M:%S') (${0##*/}:${BASH_LINENO[0]}) $*"
}
die() {
    echo "${0##*/}: error: $*" >&2
    exit 2
}

# General
stage=1              # first stage to run
stop_stage=7         # last stage to run
quick=false          # a few updates and sentences, in exp/quick: a test that all runs
ngpu=0               # GPUs for training; 0 trains on processors
nj=$(nproc)          # parallel jobs on data, trainings (without GPU), syntheses, scoring
dumpdir=dump         # that of the sister recipe; here it holds links, and RVQ tokens
expdir=              # models and results; exp, or exp/quick
python=python3       # the Python to use

# The sister recipe
tts1_dir=../tts1     # where corpus, tokens and tokenizer are, or are made
tts1_opts=           # options of its run.sh
tts1_expdir=exp      # its directory of models
tokenizer_tag=train_tokenizer    # name of its tokenizer
tokenizer_model=valid.loss.ave.pth    # weights of both tokenizers
train_set=train      # its training set
valid_set=valid      # its validation set
test_set=test        # its test set
num_test=0           # sentences of it, evenly spread; 0 takes all

# What is compared
plan=conf/variants.yaml    # variants, seeds, sampling steps, budget
variants=            # only these, by spaces
seeds=               # these instead of the plan's
steps=               # these instead of the plan's
train_config=conf/train_cdcd.yaml    # diffusion
lm_config=conf/train_lm.yaml         # language model
rvq_config=conf/train_tokenizer_rvq.yaml    # tokenizer of the RVQ variants
rvq_tokenizer_args=  # further options of its training
decode_config=conf/decode.yaml       # diffusion
lm_decode_config=conf/decode_lm.yaml # language model
theory_opts="--num_samples 10000 --num_swaps 400"    # of codebook_report
text_opts=           # options of fsqdiff.sh about text, as in the sister recipe
keep_checkpoints=false    # of finished trainings, 100 to 150 MB each
title=               # heading of the report

help_message=$(cat << EOF
Usage: run.sh [--option value ...]

Stages:
   1 data, tokens         taken from the sister recipe, which is run if it has none
   2 RVQ tokens           tokenizer and tokens, if a variant wants them
   3 training             every variant, seed by seed; --nj at once without a GPU
   4 synthesis            every training with every number of steps
   5 scoring              by utterance
   6 theory               of every codebook: distances, accuracy, sound of neighbours
   7 report               of what there is

What is done is not done again; a killed run goes on where it was.

Options and their values:
$(sed -nE '/^# General$/,/^help_message=/{
    /^help_message=/d
    s/^# (.*)/\n\1:/p
    s/^([a-z]\w*)=([^#]*[^# ])? *(# (.*))?$/  --\1 (\2) \4/p
}' "${BASH_SOURCE[0]}")
EOF
)

run_args=("$@")
. utils/parse_options.sh
. utils/fingerprint.sh
[ $# -eq 0 ] || die "unexpected argument $1; --help names the options"
[ -f path.sh ] || die "run it in a recipe's directory"
. ./path.sh
. ./cmd.sh || exit 2
export python

for number in stage stop_stage ngpu nj num_test; do
    [[ "${!number}" =~ ^[0-9]+$ ]] || die "option --${number} is a number, not '${!number}'"
done
if [ -z "${expdir}" ]; then
    expdir=exp
    [ "${quick}" = false ] || expdir=exp/quick
fi
quick_opts=()
if [ "${quick}" = true ]; then
    num_test=2
    theory_opts="--num_samples 100 --num_swaps 4"
    quick_opts=(--max_epoch 1 --num_iters_per_epoch 4)
fi

names=("" "data, tokens" "RVQ tokens" "training" "synthesis" "scoring" "theory" "report")
rvq_tag=$(basename "${rvq_config}" .yaml)
test_data=${expdir}/test_set
report=${expdir}/report
plan_opts=(--plan "${plan}" --expdir "${expdir}" --variants "${variants}"
    --seeds "${seeds}" --steps "${steps}" --quick "${quick}")
# What trainings and syntheses are made of: with others they are refused.
trained_opts=(--train_config "${train_config}" --lm_config "${lm_config}")
spoken_opts=("${trained_opts[@]}" --test_set "${test_data}" --decode_config "${decode_config}"
    --lm_decode_config "${lm_decode_config}")

study() { # <part> <option>... : a part of the study that is written in Python
    ${python} -m espnet_fsqdiff.bin.study "$@"
}
tag_of() { # <fsq|rvq> : name of the tokenizer that made the tokens
    if [ "$1" = rvq ]; then echo "${rvq_tag}"; else echo "${tokenizer_tag}"; fi
}
file_of() { # <fsq|rvq> : weights of that tokenizer
    echo "${expdir}/tokenizer_$(tag_of "$1")/${tokenizer_model}"
}
need() { # <stage> <file>... : stop if an input is missing, name its stage
    local maker=$1 file
    shift
    for file in "$@"; do
        [ -e "${file}" ] || die "${file} is missing; run stage ${maker}" \
            "(${names[maker]}) first: --stage ${maker}"
    done
}
trainings() { # [option]... : what is left to train
    study trainings "${plan_opts[@]}" "${trained_opts[@]}" --fsq_file "$(file_of fsq)" \
        --rvq_file "$(file_of rvq)" "$@"
}
recipe() { # <fsq|rvq> <option>... : stages of fsqdiff.sh here
    local tokenizer
    tokenizer=$(tag_of "$1")
    shift
    # shellcheck disable=SC2086
    ./fsqdiff.sh --dumpdir "${dumpdir}" --expdir "${expdir}" --nj "${nj}" \
        --ngpu "${ngpu}" --tokenizer_tag "${tokenizer}" \
        --tokenizer_model "${tokenizer_model}" --train_set "${train_set}" \
        --valid_set "${valid_set}" --test_sets "${test_set}" ${text_opts} "$@"
}

# What of the sister recipe is used: in dumpdir, and in its directory of models.
dump_parts=(raw token_list "tokens/${tokenizer_tag}")
exp_parts=("tokenizer_${tokenizer_tag}" tokenizer_stats "duration_${tokenizer_tag}"
    "cdcd_stats_${tokenizer_tag}")
results=("${dumpdir}/tokens/${tokenizer_tag}"/{"${train_set}","${valid_set}","${test_set}"}/tokens.scp
    "${tts1_expdir}/tokenizer_${tokenizer_tag}/${tokenizer_model}"
    "${tts1_expdir}/duration_${tokenizer_tag}/duration.yaml"
    "${tts1_expdir}/cdcd_stats_${tokenizer_tag}/valid/stats_keys") # written last

link() { # <target> <name> : a symbolic link; never in place of something else
    [ -L "$2" ] || [ ! -e "$2" ] || die "$2 is in the way; remove it"
    mkdir -p "$(dirname "$2")"
    ln -sfn "$(realpath "$1")" "$2"
}

stage_1() {
    [ -d "${tts1_dir}" ] || die "--tts1_dir ${tts1_dir}: no such directory"
    local file part
    for file in "${results[@]}"; do
        [ -e "${tts1_dir}/${file}" ] && continue
        log "${tts1_dir}/${file} is missing: the sister recipe makes it"
        # shellcheck disable=SC2086
        (cd "${tts1_dir}" && ./run.sh ${tts1_opts} --stage 1 --stop_stage 9)
        break
    done
    for part in "${dump_parts[@]}"; do
        link "${tts1_dir}/${dumpdir}/${part}" "${dumpdir}/${part}"
    done
    for part in "${exp_parts[@]}"; do
        link "${tts1_dir}/${tts1_expdir}/${part}" "${expdir}/${part}"
    done
    # Lengths are the same for either decoder.
    link "${expdir}/cdcd_stats_${tokenizer_tag}" "${expdir}/lm_stats_${tokenizer_tag}"
    study test_set --data_dir "${dumpdir}/raw/${test_set}" --num_utts "${num_test}" \
        --output_dir "${test_data}"
}

stage_2() {
    local list line options rvq_stats=${expdir}/cdcd_stats_${rvq_tag}
    need 1 "${dumpdir}/raw" "${expdir}/tokenizer_stats"
    list=$(trainings --all)
    line=$(awk -F'|' '$5 == "rvq" && !n++' <<< "${list}")
    if [ -z "${line}" ]; then
        log "No variant wants RVQ tokens"
        return
    fi
    options=${line##*|}
    [ -f "${rvq_config}" ] || die "--rvq_config ${rvq_config}: no such file"
    # Stage by stage, so that what is there is not made again.
    if [ ! -e "$(file_of rvq)" ]; then
        recipe rvq --stage 6 --stop_stage 6 --tokenizer_config "${rvq_config}" \
            --tokenizer_args "${rvq_tokenizer_args} ${quick_opts[*]}"
    fi
    if [ ! -e "${rvq_stats}/valid/stats_keys" ]; then # written last
        recipe rvq --stage 7 --stop_stage 9 --tokenizer_config "${rvq_config}" \
            --train_config "${train_config}" --train_args "${options}"
    fi
}

share_cores() { # for commands begun by in_turn: threads of each; none outlives the shell
    local threads=$(($(nproc) / (nj > 0 ? nj : 1)))
    export OMP_NUM_THREADS=$((threads > 0 ? threads : 1))
    export MKL_NUM_THREADS=${OMP_NUM_THREADS}
    begun=0 succeeded=$(mktemp)
    # A process group each, so that their children end with them.
    set -m
    trap 'rm -f "${succeeded}"
        for pid in $(jobs -rp); do kill -- "-${pid}" 2> /dev/null || true; done' EXIT
}
in_turn() { # <command>... : in the background once fewer than nj commands run there
    while [ "$(jobs -rp | wc -l)" -ge "$((nj > 0 ? nj : 1))" ]; do
        sleep 0.2
    done
    begun=$((begun + 1))
    # In the hours this takes, process ids come round and bash forgets a status.
    (
        "$@" < /dev/null
        echo "$1" >> "${succeeded}"
    ) &
}
wait_all() { # for what in_turn began; fails if any of it did
    wait
    [ "$(wc -l < "${succeeded}")" -eq "${begun}" ]
}

train_one() { # <directory> <tag> <decoder> <tokens> <options>
    local config=${train_config} digest
    [ "$3" = cdcd ] || config=${lm_config}
    [ -f "${config}" ] || die "${config}: no such file"
    # Before the training, in whose hours the file may be edited.
    digest=$(sha256sum < "${config}")
    recipe "$4" --stage 10 --stop_stage 10 --decoder "$3" \
        --train_config "${config}" --tag "$2" --train_args "$5"
    study finish "${plan_opts[@]}" --directory "$1" --config_digest "${digest%% *}" \
        --keep_checkpoints "${keep_checkpoints}"
}

stage_3() ( # in a shell of its own: the number of threads is for it alone
    need 1 "${expdir}/duration_${tokenizer_tag}/duration.yaml"
    local list directory tag decoder tokens options
    list=$(trainings)
    [ -n "${list}" ] || log "Nothing is left to train"
    # Small models use one core each better than all cores one model.
    [ "${ngpu}" -eq 0 ] || nj=1
    share_cores
    while IFS='|' read -r directory _ tag decoder tokens _ options <&3; do
        [ -n "${directory}" ] || continue
        need 2 "$(file_of "${tokens}")"
        log "Training ${tag}"
        in_turn train_one "${directory}" "${tag}" "${decoder}" "${tokens}" "${options}"
    done 3<<< "${list}"
    wait_all
)

resynthesise() { # <fsq|rvq> : waves from the true tokens of the test set
    local tokenizer out=${expdir}/reference/$1 ids
    tokenizer=$(tag_of "$1")
    ids=${dumpdir}/tokens/${tokenizer}/${test_set}/tokens.txt
    need 2 "${ids}"
    mkdir -p "${out}"
    awk 'NR == FNR {wanted[$1]; next} $1 in wanted' "${test_data}/text" "${ids}" \
        > "${out}/tokens.new.txt"
    if [ -e "${out}/stats.json" ] && cmp -s "${out}"/tokens{.new,}.txt; then
        rm "${out}/tokens.new.txt"
        return 0
    fi
    # Nothing that was said of other tokens is true of these.
    rm -f "${out}"/{stats.json,utterances.csv}
    mv "${out}"/tokens{.new,}.txt
    ${decode_cmd} "${out}/resynthesize.log" ${python} -m espnet_fsqdiff.bin.resynthesize \
        --train_config "${expdir}/tokenizer_${tokenizer}/config.yaml" \
        --model_file "$(file_of "$1")" --tokens "${out}/tokens.txt" --output_dir "${out}"
}

synthesise() { # <training> <decoder> <tokens> <directory> <options>
    local tokenizer config=${decode_config}
    tokenizer=$(tag_of "$3")
    [ "$2" = cdcd ] || config=${lm_decode_config}
    # shellcheck disable=SC2086
    ${decode_cmd} "$4/inference.log" ${python} -m espnet_fsqdiff.bin.tts_inference \
        --config "${config}" --train_config "${expdir}/$1/config.yaml" \
        --model_file "${expdir}/$1/valid.loss.ave.pth" \
        --tokenizer_config "${expdir}/tokenizer_${tokenizer}/config.yaml" \
        --tokenizer_file "$(file_of "$3")" \
        --duration_file "${expdir}/duration_${tokenizer}/duration.yaml" \
        --data_dir "${test_data}" --tokens_dir "${dumpdir}/tokens/${tokenizer}/${test_set}" \
        --output_dir "$4" $5
}

token_kinds() { # the kinds of tokens that the variants use
    trainings --all | awk -F'|' '{print $5}' | sort -u
}

stage_4() ( # in a shell of its own: the number of threads is for it alone
    need 1 "${test_data}/text"
    local list kind training decoder tokens directory options
    list=$(study syntheses "${plan_opts[@]}" "${spoken_opts[@]}")
    share_cores
    # Real-time factors are those of one core.
    export OMP_NUM_THREADS=1 MKL_NUM_THREADS=1
    for kind in $(token_kinds); do
        in_turn resynthesise "${kind}"
    done
    while IFS='|' read -r training decoder tokens directory options <&3; do
        [ -n "${training}" ] || continue
        log "Synthesis ${directory}"
        in_turn synthesise "${training}" "${decoder}" "${tokens}" "${directory}" "${options}"
    done 3<<< "${list}"
    wait_all
)

references() { # options that name originals and resyntheses
    local kind
    echo "--reference original=${expdir}/reference/original"
    for kind in $(token_kinds); do
        echo "--reference resynthesis_${kind}=${expdir}/reference/${kind}"
    done
}

stage_5() {
    need 1 "${test_data}/wav.scp"
    mkdir -p "${expdir}/reference/original"
    cp "${test_data}/wav.scp" "${expdir}/reference/original/wav.scp"
    # shellcheck disable=SC2046
    OMP_NUM_THREADS=1 study score "${plan_opts[@]}" "${spoken_opts[@]}" \
        $(references) --nj "${nj}"
}

stage_6() {
    local list directory name tokens theory tokenizer out stamp made
    list=$(trainings --all)
    # The first training of each variant: its codebook is stored with it.
    while IFS='|' read -r directory name _ _ tokens theory _ <&3; do
        [ "${theory}" = true ] || continue
        out=${expdir}/theory/${name}.csv
        made=$(made_file "${out}")
        # One without a digest is of a study begun before there was one.
        if [ -e "${out}" ] && [ ! -e "${made}" ]; then continue; fi
        need 3 "${expdir}/${directory}/training.json"
        tokenizer=$(tag_of "${tokens}")
        stamp=$(fingerprint "${theory_opts}" \
            "${expdir}/${directory}/valid.loss.ave.pth" "$(file_of "${tokens}")" \
            "${dumpdir}/tokens/${tokenizer}/${valid_set}/tokens.txt")
        if [ -e "${out}" ] && [ "$(cat "${made}")" = "${stamp}" ]; then continue; fi
        log "Theory of ${name}"
        # Before its digest: what is stopped in between is made again.
        rm -f "${out}"
        mkdir -p "${expdir}/theory"
        echo "${stamp}" > "${made}"
        # shellcheck disable=SC2086
        ${python} -m espnet_fsqdiff.bin.codebook_report \
            --train_config "${expdir}/${directory}/config.yaml" \
            --model_file "${expdir}/${directory}/valid.loss.ave.pth" \
            --tokenizer_config "${expdir}/tokenizer_${tokenizer}/config.yaml" \
            --tokenizer_file "$(file_of "${tokens}")" \
            --tokens "${dumpdir}/tokens/${tokenizer}/${valid_set}/tokens.scp" \
            --format csv --output "${out}" ${theory_opts}
    done 3<<< "${list}"
}

stage_7() {
    need 5 "${expdir}/reference/original/utterances.csv"
    # shellcheck disable=SC2046
    study report "${plan_opts[@]}" $(references) --theory "${expdir}/theory" \
        --title "${title:-${PWD##*/egs/}}" --outdir "${report}"
    log "The report: ${report}/index.html (and results.md, results.csv)"
}

running=
trap '[ $? -eq 0 ] || [ -z "${running}" ] || echo "${0##*/}: stage ${running} (${names[running]}) failed" >&2' EXIT

log "$0 ${run_args[*]}"
mkdir -p "${expdir}"
for ((number = stage < 1 ? 1 : stage; number <= stop_stage && number <= 7; number++)); do
    log "Stage ${number}: ${names[number]}"
    started=$(date +%s.%N)
    running=${number}
    "stage_${number}"
    running=
    # All lines of a stage together are its time: it may have been killed and gone on.
    printf '%d %s %.1f\n' "${number}" "${names[number]// /_}" \
        "$(echo "${started} $(date +%s.%N)" | awk '{print $2 - $1}')" \
        >> "${expdir}/study_seconds.txt"
done
log "Done. [stages ${stage} to ${stop_stage}]"
