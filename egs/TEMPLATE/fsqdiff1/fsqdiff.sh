#!/usr/bin/env bash
# The stages of a text-to-speech recipe: recorded speech in, a speaking model out.
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
stop_stage=15        # last stage to run
skip_data_prep=false # skip stages 1 to 4
skip_train=false     # skip stages 5 to 11
skip_eval=false      # skip stages 12 and 13
skip_packing=false   # skip stage 14
skip_upload=true     # skip stage 15
ngpu=0               # GPUs for training; 0 trains on processors
num_nodes=1          # machines for training
nj=$(nproc)          # parallel jobs on data
inference_nj=${nj}   # processes of the scoring
gpu_extraction=false # extract tokens (stage 7) and make mels (stage 11) with a GPU for each job
gpu_inference=false  # synthesise on a GPU
datadir=data         # data directories
dumpdir=dump         # formatted audio, token lists, tokens
expdir=exp           # models and results
python=python3       # the Python to use

# Data
local_data_opts=      # options for local/data.sh
train_set=train       # name of the training set
valid_set=valid       # name of the validation set
test_sets=test        # names of the test sets, separated by spaces
fs=16000              # sampling rate in Hz
audio_format=flac     # flac or wav
min_wav_duration=0.1  # seconds; shorter utterances are dropped
max_wav_duration=20   # seconds; longer ones are dropped
num_splits=1          # parts that trainings read their set in, one at a time; more need less memory

# Text
token_type=char       # char, bpe or phn
nbpe=100              # pieces, for token_type bpe
cleaner=lower         # cleaners separated by commas (lower, spoken_english, ...) or none
g2p=none              # pronunciation for token_type phn, e.g. espeak_ng_english_us_vits_joined

# Speech tokenizer
tokenizer_config=conf/train_tokenizer.yaml
tokenizer_args=       # further options of fsq_tokenizer_train
tokenizer_tag=        # name of its directory; by default that of the config
tokenizer_model=valid.loss.ave.pth
token_rate=25         # speech tokens a second, as in tokenizer_config

# Text to tokens
decoder=cdcd          # cdcd (diffusion) or lm (language model)
train_config=conf/train_cdcd.yaml
train_args=           # further options of cdcd_train or token_lm_train
tag=                  # name of its directory; by default that of the config

# Token to wave (stage 11); without any: the tokenizer's mel decoder and Griffin-Lim
token2mel_config=     # trains flow matching from tokens to mels
token2mel_args=       # further options of token2mel_train
token2mel_tag=        # name of its directory; by default that of the config
token2mel_model=valid.loss.ave.pth
spk_embeds=           # speaker embeddings for it, e.g. dump/xvector, with <set>/xvector.scp
vocoder_config=       # trains a vocoder on true mels
vocoder_args=         # further options of vocoder_train
vocoder_tag=          # name of its directory; by default that of the config
vocoder_model=valid.mel_loss.ave.pth
vocoder_finetune_config= # tunes it to the mels that are made of true tokens
vocoder_finetune_args= # further options of vocoder_train
wave_fs=              # sampling rate in Hz of the waves to learn from; by default --fs

# Synthesis, scoring, release
inference_config=conf/decode.yaml
inference_args=       # further options of tts_inference
inference_tag=        # name of its directory; by default that of the config
inference_model=valid.loss.ave.pth
score_args=           # further options of score; --spk_config C --spk_file F compare voices
num_examples=4        # utterances with pictures and players in the report
title=                # heading of the report
licence=unknown       # that of the training data, for the pack
model_card=README.md  # for the pack, where there is one
pack_precision=float16 # float16 or float32, for inference alone; none: files as they are
hf_repo=              # where to upload, e.g. user/model

help_message=$(cat << EOF
Usage: run.sh [--option value ...]

Stages:
   1 data                 local/data.sh makes data directories
   2 format audio         mono files at --fs
   3 drop utterances      too long, too short, too much text for the frames
   4 text token list      from the training text
   5 tokenizer statistics lengths and mel statistics
   6 tokenizer training   audio to tokens and back
   7 token extraction     tokens of all sets, aligned with the text
   8 duration table       frames a text token takes
   9 diffusion statistics lengths (of either decoder)
  10 diffusion training   text to tokens, or the language model's training
  11 token-to-wave        trained with --token2mel_config, --vocoder_config
  12 synthesis            of the test sets, from text and from true tokens
  13 scoring              and the report
  14 pack                 the model in one file
  15 upload               with --skip_upload false alone

Options and their values:
$(sed -nE '/^# General$/,/^help_message=/{
    s/^# (.*)/\n\1:/p
    s/^([a-z]\w*)=([^# ]*) *(# (.*))?$/  --\1 (\2) \4/p
}' "${BASH_SOURCE[0]}")

cmd_backend=slurm|sge run.sh ... sends the jobs to a cluster, see cmd.sh.
EOF
)

run_args=("$@")
. utils/parse_options.sh
[ $# -eq 0 ] || die "unexpected argument $1; --help names the options"
[ -f path.sh ] || die "run it in a recipe's directory"
. ./path.sh
. ./cmd.sh || exit 2
export python

for number in stage stop_stage ngpu num_nodes nj inference_nj fs nbpe num_examples num_splits \
    ${wave_fs:+wave_fs}; do
    [[ "${!number}" =~ ^[0-9]+$ ]] || die "option --${number} is a number, not '${!number}'"
done

[ "${num_nodes}" -le 1 ] || [ "${cmd_backend}" != local ] ||
    die "--num_nodes ${num_nodes} needs a cluster: cmd_backend=slurm or sge run.sh ..."
case "${decoder}" in
    cdcd) decoder_name=diffusion decoder_train=cdcd_train ;;
    lm) decoder_name="language model" decoder_train=token_lm_train ;;
    *) die "--decoder '${decoder}' is unknown; use cdcd or lm" ;;
esac
names=("" "data" "format audio" "drop utterances" "text token list"
    "tokenizer statistics" "tokenizer training" "token extraction" "duration table"
    "${decoder_name} statistics" "${decoder_name} training" "token-to-wave" "synthesis"
    "scoring" "pack" "upload")

config_tag() { # <config> : conf/tuning/train_cdcd_large.yaml -> train_cdcd_large
    basename "$1" .yaml
}
tokenizer_tag=${tokenizer_tag:-$(config_tag "${tokenizer_config}")}
tag=${tag:-$(config_tag "${train_config}")}
inference_tag=${inference_tag:-$(config_tag "${inference_config}")}

raw=${dumpdir}/raw
token_listdir=${dumpdir}/token_list/${token_type}
[ "${token_type}" != bpe ] || token_listdir+=_${nbpe}
token_list=${token_listdir}/tokens.txt
tokens=${dumpdir}/tokens/${tokenizer_tag}
tokenizer_stats=${expdir}/tokenizer_stats
tokenizer_exp=${expdir}/tokenizer_${tokenizer_tag}
duration_exp=${expdir}/duration_${tokenizer_tag}
decoder_stats=${expdir}/${decoder}_stats_${tokenizer_tag}
decoder_exp=${expdir}/${decoder}_${tag}
inference_dir=${decoder_exp}/${inference_tag}
report=${inference_dir}/report
packed=${decoder_exp}/packed/${tag}_${inference_model%.pth}.zip
wall=${expdir}/wall_seconds.txt
read -r -a eval_sets <<< "${test_sets}"
all_sets=("${train_set}" "${valid_set}")
for set in "${eval_sets[@]}"; do # the validation set may be one of them
    [[ " ${all_sets[*]} " = *" ${set} "* ]] || all_sets+=("${set}")
done

job_gpus=0 # of each job that extracts tokens or makes mels
job_device=cpu
[ "${gpu_extraction}" = false ] || job_gpus=1 job_device=cuda

bpe_opts=()
[ "${token_type}" != bpe ] || bpe_opts=(--bpemodel "${token_listdir}/bpe.model")
cut_opts=(--token_type "${token_type}" --cleaner "${cleaner}" --g2p "${g2p}")
text_opts=("${cut_opts[@]}" --token_list "${token_list}" "${bpe_opts[@]}")
tokenizer_files=("${tokenizer_exp}/config.yaml" "${tokenizer_exp}/${tokenizer_model}")

need() { # <stage> <file>... : stop if an input is missing, name its stage
    local maker=$1 file
    shift
    for file in "$@"; do
        [ -e "${file}" ] || die "${file} is missing; run stage ${maker}" \
            "(${names[maker]}) first: --stage ${maker}"
    done
}
unwritten() { # <file> : stop, as it cannot be written
    die "$1 cannot be written: no space left, or no permission; mend that and run the stage again"
}
seal() { # <output> <file>... : write check sums of files
    local sums=$1
    shift
    sha256sum "$@" > "${sums}.tmp" && mv "${sums}.tmp" "${sums}" ||
        unwritten "${sums}"
}
whole() { # <stage> <file>... : stop if a file with check sums, or one it lists, is damaged
    local maker=$1 sums broken
    shift
    for sums in "$@"; do
        need "${maker}" "${sums}"
        broken=$(sha256sum --check --quiet --strict "${sums}" 2>&1) || {
            broken=${broken%%$'\n'*}
            die "${broken#sha256sum: } (see ${sums}); run stage ${maker}" \
                "(${names[maker]}) again: --stage ${maker}"
        }
    done
}
same_utts() { # <stage> <table>... : stop if one names other utterances than the first
    local maker=$1 first=$2 table
    shift 2
    need "${maker}" "${first}" "$@"
    for table in "$@"; do
        cmp -s <(cut -d" " -f1 "${first}" | sort) <(cut -d" " -f1 "${table}" | sort) ||
            die "${table} and ${first} have other utterances; run stage ${maker}" \
                "(${names[maker]}) again: --stage ${maker}"
    done
}
config() { # <option> <file> : stop if a config is missing
    [ -f "$2" ] || die "--$1 $2: no such file"
}
here() { # <jobs> : processes on this machine, where some stages run even with a cluster
    local processors
    processors=$(env -u OMP_NUM_THREADS nproc)
    echo $(($1 < processors ? $1 : processors))
}
keep_log() { # <log> : train.log becomes train.1.log, that train.2.log, ... as in ESPnet
    local base=${1%.log} n=1
    [ -e "$1" ] || return 0
    while [ -e "${base}.${n}.log" ]; do n=$((n + 1)); done
    for (( ; n > 1; n--)); do mv "${base}.$((n - 1)).log" "${base}.${n}.log"; done
    mv "$1" "${base}.1.log"
}
data_digest() { # <file>... : of the content of files, wherever they lie
    local file
    for file in "$@"; do
        case "${file}" in
            *.sha256) cut -d" " -f1 "${file}" ;; # of what it lists
            *) sha256sum < "${file}" ;;
        esac
    done | sha256sum | cut -d" " -f1
}
same_data() { # <directory> <file>... : stop if a training there has had other data
    local dir=$1 digest
    shift
    digest=$(data_digest "$@")
    # One that began before digests were kept is taken as it is.
    if [ -e "${dir}/.data" ] && [ "$(cat "${dir}/.data")" != "${digest}" ] &&
        compgen -G "${dir}/checkpoint*.pth" > /dev/null; then
        die "${dir} was trained on other data than now: one of $*;" \
            "remove it, or give the new training a name (--help: tag)"
    fi
    echo "${digest}" > "${dir}/.data.tmp"
    mv "${dir}/.data.tmp" "${dir}/.data"
}
train() { # <directory> <file of its data>... -- <command>... : on one machine or several
    local dir=$1 log=$1/train.log data=()
    shift
    while [ "$1" != -- ]; do
        data+=("$1")
        shift
    done
    shift
    mkdir -p "${dir}"
    # Held until the last process of the training ends, whoever started it.
    exec 9> "${dir}/.lock"
    flock -n 9 || die "another training writes to ${dir}; wait for it or stop it"
    same_data "${dir}" "${data[@]}"
    log "The training log: ${log}"
    if [ "${num_nodes}" -eq 1 ]; then
        keep_log "${log}"
        ${cuda_cmd} --name "${dir##*/}" --gpu "${ngpu}" "${log}" \
            "$@" --ngpu "${ngpu}" --multiprocessing_distributed true
    else # by ESPnet's launcher
        ${python} -m espnet2.bin.launch --cmd "${cuda_cmd} --name ${dir##*/}" \
            --log "${log}" --ngpu "${ngpu}" --num_nodes "${num_nodes}" \
            --init_file_prefix "${dir}/.dist_init_" \
            --multiprocessing_distributed true -- "$@"
    fi
    exec 9>&-
}

stage_1() {
    [ -x local/data.sh ] || die "local/data.sh is missing; the recipe has to bring it"
    # shellcheck disable=SC2086
    local/data.sh --output_dir "${datadir}" ${local_data_opts}
}

stage_2() {
    need 1 "${all_sets[@]/#/${datadir}/}"
    ${python} -m espnet_fsqdiff.bin.format_audio --input_root "${datadir}" \
        --output_root "${raw}/org" --sets "${all_sets[@]}" --fs "${fs}" \
        --audio_format "${audio_format}" --nj "$(here "${nj}")"
}

stage_3() {
    need 2 "${all_sets[@]/#/${raw}/org/}"
    ${python} -m espnet_fsqdiff.bin.filter_utterances --input_root "${raw}/org" \
        --output_root "${raw}" --sets "${all_sets[@]}" --fs "${fs}" \
        --min_wav_duration "${min_wav_duration}" \
        --max_wav_duration "${max_wav_duration}" --token_rate "${token_rate}" \
        "${cut_opts[@]}"
}

stage_4() {
    local others=("${valid_set}" "${eval_sets[@]}")
    others=("${others[@]/#/${raw}/}")
    need 3 "${raw}/${train_set}/text" "${others[@]/%//text}"
    same_utts 3 "${raw}/${train_set}"/{wav.scp,text}
    ${python} -m espnet_fsqdiff.bin.make_token_list --nbpe "${nbpe}" \
        --train_text "${raw}/${train_set}/text" --check_text "${others[@]/%//text}" \
        --output_dir "${token_listdir}" "${cut_opts[@]}"
    local made=("${token_list}")
    [ "${token_type}" != bpe ] || made+=("${token_listdir}/bpe.model")
    seal "${token_listdir}/tokens.sha256" "${made[@]}"
}
need_token_list() {
    need 4 "${token_list}"
    whole 4 "${token_listdir}/tokens.sha256"
}

. utils/training_data.sh

tokenizer_opts=(
    --use_preprocessor true "${text_opts[@]}" --feats_extract_conf "fs=${fs}"
    --config "${tokenizer_config}"
)
tokenizer_tables() { # <set> : what the tokenizer learns from, into tables
    tables=("${raw}/$1/wav.scp,speech,sound" "${raw}/$1/text,text,text")
}

stage_5() {
    config tokenizer_config "${tokenizer_config}"
    same_utts 3 "${raw}/${train_set}"/{wav.scp,text,utt2num_samples}
    same_utts 3 "${raw}/${valid_set}"/{wav.scp,text,utt2num_samples}
    need_token_list
    local data_opts
    statistics_data tokenizer_tables
    # shellcheck disable=SC2086
    ${train_cmd} "${tokenizer_stats}/stats.log" \
        ${python} -m espnet_fsqdiff.bin.fsq_tokenizer_train --collect_stats true \
        --train_shape_file "${raw}/${train_set}/utt2num_samples" \
        --valid_shape_file "${raw}/${valid_set}/utt2num_samples" \
        --output_dir "${tokenizer_stats}" \
        "${tokenizer_opts[@]}" "${data_opts[@]}" ${tokenizer_args}
}

stage_6() {
    config tokenizer_config "${tokenizer_config}"
    need_token_list
    need 3 "${raw}/${train_set}"/{wav.scp,text} "${raw}/${valid_set}"/{wav.scp,text}
    # The keys are written last.
    need 5 "${tokenizer_stats}"/{valid/stats_keys,train/feats_stats.npz}
    same_utts 5 "${tokenizer_stats}/train/speech_shape" "${raw}/${train_set}"/{wav.scp,text}
    same_utts 5 "${tokenizer_stats}/valid/speech_shape" "${raw}/${valid_set}"/{wav.scp,text}
    local data_opts
    training_data "${tokenizer_stats}" "${tokenizer_stats}/train/speech_shape" tokenizer_tables
    # shellcheck disable=SC2086
    train "${tokenizer_exp}" "${token_list}" \
        "${raw}/${train_set}"/{text,utt2num_samples} "${raw}/${valid_set}/text" -- \
        ${python} -m espnet_fsqdiff.bin.fsq_tokenizer_train \
        --valid_shape_file "${tokenizer_stats}/valid/speech_shape" \
        --mel_stats_file "${tokenizer_stats}/train/feats_stats.npz" \
        --resume true --output_dir "${tokenizer_exp}" \
        "${tokenizer_opts[@]}" "${data_opts[@]}" ${tokenizer_args}
}

stage_7() {
    need 3 "${all_sets[@]/#/${raw}/}"
    need 6 "${tokenizer_files[@]}"
    local opts=(
        --train_config "${tokenizer_files[0]}" --model_file "${tokenizer_files[1]}"
        --data_dirs "${all_sets[@]/#/${raw}/}"
        --output_root "${tokens}" --num_jobs "${nj}"
    )
    # The jobs share the processors.
    local threads=$(($(nproc) / nj))
    OMP_NUM_THREADS=$((threads > 0 ? threads : 1)) \
        ${train_cmd} --gpu "${job_gpus}" JOB=1:"${nj}" "${tokens}/log/extract.JOB.log" \
        ${python} -m espnet_fsqdiff.bin.extract_tokens "${opts[@]}" \
        --device "${job_device}" --job JOB
    ${python} -m espnet_fsqdiff.bin.extract_tokens "${opts[@]}" --merge true
}

stage_8() {
    need_token_list
    whole 7 "${tokens}/${train_set}/tokens.sha256" "${tokens}/${valid_set}/tokens.sha256"
    ${python} -m espnet_fsqdiff.bin.fit_duration \
        --train_tokens "${tokens}/${train_set}" --valid_tokens "${tokens}/${valid_set}" \
        --train_text "${raw}/${train_set}/text" --valid_text "${raw}/${valid_set}/text" \
        "${text_opts[@]}" --output_dir "${duration_exp}"
    seal "${duration_exp}/duration.sha256" "${duration_exp}"/{duration.yaml,stats.json}
}

decoder_opts=(--use_preprocessor true "${text_opts[@]}" --config "${train_config}")
decoder_tables() { # <set> : what the decoder learns from, into tables
    tables=(
        "${raw}/$1/text,text,text"
        "${tokens}/$1/tokens.scp,speech_token,kaldi_ark"
    )
    # Tokenizers without a recognition head align nothing.
    [ ! -e "${tokens}/$1/durations.txt" ] ||
        tables+=("${tokens}/$1/durations.txt,durations,text_int")
}

stage_9() {
    local data_opts
    statistics_data decoder_tables
    config train_config "${train_config}"
    need_token_list
    whole 7 "${tokens}/${train_set}/tokens.sha256" "${tokens}/${valid_set}/tokens.sha256"
    same_utts 3 "${tokens}/${train_set}/tokens.scp" "${raw}/${train_set}/text"
    same_utts 3 "${tokens}/${valid_set}/tokens.scp" "${raw}/${valid_set}/text"
    # shellcheck disable=SC2086
    ${train_cmd} "${decoder_stats}/stats.log" \
        ${python} -m "espnet_fsqdiff.bin.${decoder_train}" --collect_stats true \
        --train_shape_file "${tokens}/${train_set}/utt2num_tokens" \
        --valid_shape_file "${tokens}/${valid_set}/utt2num_tokens" \
        --output_dir "${decoder_stats}" "${decoder_opts[@]}" "${data_opts[@]}" ${train_args}
}

stage_10() {
    config train_config "${train_config}"
    need 6 "${tokenizer_files[0]}"
    whole 8 "${duration_exp}/duration.sha256"
    need 9 "${decoder_stats}/valid/stats_keys" # written last
    whole 7 "${tokens}/${train_set}/tokens.sha256" "${tokens}/${valid_set}/tokens.sha256"
    need 3 "${raw}/${train_set}/text" "${raw}/${valid_set}/text"
    same_utts 9 "${decoder_stats}/train/speech_token_shape" \
        "${tokens}/${train_set}/tokens.scp" "${raw}/${train_set}/text"
    same_utts 9 "${decoder_stats}/valid/speech_token_shape" \
        "${tokens}/${valid_set}/tokens.scp" "${raw}/${valid_set}/text"
    local data_opts
    training_data "${decoder_stats}" "${decoder_stats}/train/speech_token_shape" decoder_tables
    # shellcheck disable=SC2086
    train "${decoder_exp}" "${token_list}" "${raw}/${train_set}/text" \
        "${raw}/${valid_set}/text" "${tokens}/${train_set}/tokens.sha256" \
        "${tokens}/${valid_set}/tokens.sha256" -- \
        ${python} -m "espnet_fsqdiff.bin.${decoder_train}" \
        --valid_shape_file "${decoder_stats}/valid/speech_token_shape" \
        --duration_file "${duration_exp}/duration.yaml" \
        --tokenizer_config "${tokenizer_files[0]}" \
        --resume true --output_dir "${decoder_exp}" \
        "${decoder_opts[@]}" "${data_opts[@]}" ${train_args}
}

. utils/token2wav.sh

model_opts=(
    --train_config "${decoder_exp}/config.yaml"
    --model_file "${decoder_exp}/${inference_model}"
    --tokenizer_config "${tokenizer_files[0]}" --tokenizer_file "${tokenizer_files[1]}"
    --duration_file "${duration_exp}/duration.yaml"
)
need_models() {
    need 6 "${tokenizer_files[@]}"
    whole 8 "${duration_exp}/duration.sha256"
    need 10 "${decoder_exp}/config.yaml" "${decoder_exp}/${inference_model}"
    need_chain
}

stage_12() ( # in a shell of its own: the number of threads is for it alone
    config inference_config "${inference_config}"
    need_models
    local set voices gpus=0 threads=$(($(nproc) / 2)) resynthesis=
    # Nobody else ends it: background jobs of a script ignore Ctrl-C.
    trap '[ -z "${resynthesis}" ] || kill "${resynthesis}" 2> /dev/null || true' EXIT
    [ "${gpu_inference}" = false ] || gpus=1
    # Two commands share the processors; each is mostly Griffin-Lim on one core.
    export OMP_NUM_THREADS=$((threads > 0 ? threads : 1))
    for set in "${eval_sets[@]}"; do
        whole 7 "${tokens}/${set}/tokens.sha256"
        voices_of "${set}"
        ${decode_cmd} "${tokenizer_exp}/resynthesis/${set}/resynthesize.log" \
            ${python} -m espnet_fsqdiff.bin.resynthesize \
            --train_config "${tokenizer_files[0]}" --model_file "${tokenizer_files[1]}" \
            --inference_config "${inference_config}" "${chain_opts[@]}" \
            --tokens "${tokens}/${set}/tokens.scp" "${voices[@]}" \
            --output_dir "${tokenizer_exp}/resynthesis/${set}" &
        resynthesis=$!
        # shellcheck disable=SC2086
        ${decode_cmd} --gpu "${gpus}" "${inference_dir}/${set}/inference.log" \
            ${python} -m espnet_fsqdiff.bin.tts_inference \
            --config "${inference_config}" "${model_opts[@]}" "${chain_opts[@]}" \
            --data_dir "${raw}/${set}" --tokens_dir "${tokens}/${set}" "${voices[@]}" \
            --output_dir "${inference_dir}/${set}" --ngpu "${gpus}" ${inference_args}
        wait "${resynthesis}"
        resynthesis=
    done
)

stage_13() {
    local set outdir
    for set in "${eval_sets[@]}"; do
        local resynthesis=${tokenizer_exp}/resynthesis/${set}
        local synthesis=${inference_dir}/${set}
        need 12 "${resynthesis}"/{wav.scp,stats.json} "${synthesis}"/{wav.scp,stats.json}
        need 7 "${tokens}/${train_set}/stats.json"
        whole 8 "${duration_exp}/duration.sha256"
        outdir=${report}
        [ "${#eval_sets[@]}" -eq 1 ] || outdir=${report}/${set}
        # shellcheck disable=SC2086
        ${python} -m espnet_fsqdiff.bin.score --ref_dir "${raw}/${set}" \
            --system resynthesis="${resynthesis}" --system synthesis="${synthesis}" \
            --token_stats "${tokens}/${train_set}/stats.json" \
            --duration_stats "${duration_exp}/stats.json" --wall_seconds "${wall}" \
            --wall_before 13 \
            --curves tokenizer="${tokenizer_exp}/train.log" \
            --curves "${decoder_name}"="${decoder_exp}/train.log" \
            --outdir "${outdir}" --nj "$(here "${inference_nj}")" \
            --num_examples "${num_examples}" --title "${title:-${PWD##*/egs/} ${tag}}" \
            ${score_args}
        log "Waves of unseen sentences: ${synthesis}/wav"
        log "The report: ${outdir}/index.html (and results.md, scores.json)"
    done
}

stage_14() {
    need_models
    config inference_config "${inference_config}"
    local opts=(--licence "${licence}")
    [ ! -f "${model_card}" ] || opts+=(--readme "${model_card}")
    [ "${pack_precision}" = none ] || opts+=(--precision "${pack_precision}")
    ${python} -m espnet_fsqdiff.bin.pack "${model_opts[@]}" "${chain_pack_opts[@]}" \
        "${opts[@]}" \
        --inference_config "${inference_config}" --outpath "${packed}"
    log "The packed model: ${packed}"
}

stage_15() {
    [ -n "${hf_repo}" ] || die "--hf_repo is missing; name where to upload: user/model"
    need 14 "${packed}"
    ${python} -m espnet_fsqdiff.bin.upload --packed "${packed}" --repo_id "${hf_repo}"
}

skipped() { # <stage>
    case "$1" in
        [1-4]) echo "${skip_data_prep}" ;;
        [5-9] | 10 | 11) echo "${skip_train}" ;;
        12 | 13) echo "${skip_eval}" ;;
        14) echo "${skip_packing}" ;;
        15) echo "${skip_upload}" ;;
    esac
}

running=
# Which stage it was, whatever way it failed.
trap '[ $? -eq 0 ] || [ -z "${running}" ] || echo "${0##*/}: stage ${running} (${names[running]}) failed" >&2' EXIT

log "$0 ${run_args[*]}"
mkdir -p "${expdir}"
for ((number = stage < 1 ? 1 : stage; number <= stop_stage && number <= 15; number++)); do
    [ "$(skipped "${number}")" = false ] || continue
    log "Stage ${number}: ${names[number]}"
    started=$(date +%s.%N)
    running=${number}
    "stage_${number}"
    running=
    # The last line of a stage counts.
    printf '%d %s %.1f\n' "${number}" "${names[number]// /_}" \
        "$(echo "${started} $(date +%s.%N)" | awk '{print $2 - $1}')" >> "${wall}" ||
        unwritten "${wall}"
done
log "Done. [stages ${stage} to ${stop_stage}]"
