# Stage 11: what makes tokens audible. Sourced by fsqdiff.sh, whose variables and
# functions it uses.

. utils/fingerprint.sh

token2mel_tag=${token2mel_tag:-$(config_tag "${token2mel_config}")}
vocoder_tag=${vocoder_tag:-$(config_tag "${vocoder_config}")}
token2mel_stats=${expdir}/token2mel_stats_${tokenizer_tag}
token2mel_exp=${expdir}/token2mel_${token2mel_tag}
vocoder_exp=${expdir}/vocoder_${vocoder_tag}
# Tuned to the mels of one mel maker.
mels=${dumpdir}/mels/${token2mel_tag:-${tokenizer_tag}}
tuned_exp=${vocoder_exp}_$(config_tag "${vocoder_finetune_config}")_${mels##*/}
wave_fs=${wave_fs:-${fs}}
spk_embeds=${spk_embeds%/}
wave_raw=${raw}
[ "${wave_fs}" = "${fs}" ] || wave_raw=${dumpdir}/raw_${wave_fs}

# What stages 12 and 14 take; the files of stage 11 that they need.
token2mel_opts=()
vocoder_files=()
if [ -n "${token2mel_config}" ]; then
    token2mel_opts=(
        --token2mel_config "${token2mel_exp}/config.yaml"
        --token2mel_file "${token2mel_exp}/${token2mel_model}"
    )
fi
if [ -n "${vocoder_finetune_config}" ]; then
    vocoder_files=("${tuned_exp}/config.yaml" "${tuned_exp}/${vocoder_model}")
elif [ -n "${vocoder_config}" ]; then
    vocoder_files=("${vocoder_exp}/config.yaml" "${vocoder_exp}/${vocoder_model}")
fi
chain_opts=("${token2mel_opts[@]}")
chain_pack_opts=("${token2mel_opts[@]}")
if [ ${#vocoder_files[@]} -gt 0 ]; then
    # In place of the vocoder that the inference configuration names.
    chain_opts+=(
        --vocoder trained --vocoder_conf "{}"
        --vocoder_train_config "${vocoder_files[0]}" --vocoder_file "${vocoder_files[1]}"
    )
    chain_pack_opts+=(
        --vocoder_config "${vocoder_files[0]}" --vocoder_file "${vocoder_files[1]}"
    )
fi

voices_of() { # <set>... : of each the speaker embeddings, as an option, into voices
    local set file
    voices=()
    if [ -z "${token2mel_config}" ] || [ -z "${spk_embeds}" ]; then return; fi
    voices=(--spk_embeds)
    for set in "$@"; do
        file=${spk_embeds}/${set}/${spk_embeds##*/}.scp
        [ -e "${file}" ] || die "--spk_embeds ${spk_embeds}: ${file} is missing; ESPnet's" \
            "pyscripts/utils/extract_spk_embed.py makes it of ${raw}/${set}"
        voices+=("${file}")
    done
}

need_chain() { # stop if stage 11 has something to do first
    local file
    for file in "${chain_opts[@]}"; do
        case "${file}" in */config.yaml | *.pth) need 11 "${file}" ;; esac
    done
}

once() { # <output> <input>... -- <command>... : unless it was made of the same inputs
    local output=$1 inputs=() stamp done_file
    shift
    while [ "$1" != -- ]; do
        inputs+=("$1")
        shift
    done
    shift
    stamp=$(fingerprint "${inputs[@]}")
    done_file=$(made_file "${output}")
    if [ -e "${output}" ] && [ "$(cat "${done_file}" 2> /dev/null)" = "${stamp}" ]; then
        log "${output}: it is there, of the same inputs"
        return
    fi
    "$@"
    [ -e "${output}" ] || die "${output} was not made; its log says why, or" \
        "--token2mel_model or --vocoder_model names another"
    echo "${stamp}" > "${done_file}.tmp"
    mv "${done_file}.tmp" "${done_file}"
}

stage_11() {
    if [ -z "${token2mel_config}${vocoder_config}" ]; then
        [ -z "${vocoder_finetune_config}" ] ||
            die "--vocoder_finetune_config needs --vocoder_config, which it starts from"
        log "No --token2mel_config or --vocoder_config: waves are made by the" \
            "tokenizer's mel decoder and by Griffin-Lim"
        return
    fi
    local name
    for name in token2mel_config vocoder_config vocoder_finetune_config; do
        [ -z "${!name}" ] || config "${name}" "${!name}"
    done
    need 3 "${all_sets[@]/#/${raw}/}"
    if [ "${wave_raw}" != "${raw}" ]; then
        need 1 "${all_sets[@]/#/${datadir}/}"
        local lists=("${all_sets[@]/#/${raw}/}" "${all_sets[@]/#/${datadir}/}")
        once "${wave_raw}/${train_set}/wav.scp" "${wave_fs}" "${audio_format}" \
            "${lists[@]/%//wav.scp}" -- format_waves
    fi
    local set maker=3
    [ "${wave_raw}" = "${raw}" ] || maker=11
    for set in "${train_set}" "${valid_set}"; do
        same_utts "${maker}" "${wave_raw}/${set}"/{wav.scp,utt2num_samples}
    done
    [ -z "${token2mel_config}" ] || train_token2mel
    [ -z "${vocoder_config}" ] || train_vocoder
    [ -z "${vocoder_finetune_config}" ] || tune_vocoder
}

format_waves() {
    ${python} -m espnet_fsqdiff.bin.format_audio --input_root "${datadir}" \
        --output_root "${wave_raw}" --sets "${all_sets[@]}" --fs "${wave_fs}" \
        --audio_format "${audio_format}" --nj "$(here "${nj}")" --keep_as_in "${raw}"
}

token2mel_tables() { # <set> : what token to mel learns from, into tables
    tables=(
        "${wave_raw}/$1/wav.scp,speech,sound"
        "${tokens}/$1/tokens.scp,speech_token,kaldi_ark"
    )
    local voices
    voices_of "$1"
    [ ${#voices[@]} -eq 0 ] || tables+=("${voices[1]},spk_embed,kaldi_ark")
}
train_token2mel() {
    need 6 "${tokenizer_files[0]}"
    whole 7 "${tokens}/${train_set}/tokens.sha256" "${tokens}/${valid_set}/tokens.sha256"
    local set voices opts=(
        --feats_extract_conf "fs=${wave_fs}" --tokenizer_config "${tokenizer_files[0]}"
        --config "${token2mel_config}"
    )
    local inputs=("${token2mel_config}" "${token2mel_args}" "${wave_fs}") data=()
    for set in "${train_set}" "${valid_set}"; do
        same_utts 7 "${tokens}/${set}/tokens.scp" "${wave_raw}/${set}/wav.scp"
        data+=("${wave_raw}/${set}/utt2num_samples" "${tokens}/${set}/tokens.txt")
        voices_of "${set}"
        inputs+=("${voices[@]}")
        data+=("${voices[@]:1}")
    done
    inputs+=("${data[@]}")
    once "${token2mel_stats}/train/feats_stats.npz" "${inputs[@]}" -- token2mel_statistics
    once "${token2mel_exp}/${token2mel_model}" "${inputs[@]}" -- token2mel_training
}
token2mel_statistics() {
    local data_opts
    statistics_data token2mel_tables
    # shellcheck disable=SC2086
    ${train_cmd} "${token2mel_stats}/stats.log" \
        ${python} -m espnet_fsqdiff.bin.token2mel_train --collect_stats true \
        --train_shape_file "${tokens}/${train_set}/utt2num_tokens" \
        --valid_shape_file "${tokens}/${valid_set}/utt2num_tokens" \
        --output_dir "${token2mel_stats}" "${opts[@]}" "${data_opts[@]}" ${token2mel_args}
}
token2mel_training() {
    local data_opts
    training_data "${token2mel_stats}" "${token2mel_stats}/train/speech_token_shape" \
        token2mel_tables
    # shellcheck disable=SC2086
    train "${token2mel_exp}" "${data[@]}" -- \
        ${python} -m espnet_fsqdiff.bin.token2mel_train \
        --valid_shape_file "${token2mel_stats}/valid/speech_token_shape" \
        --mel_stats_file "${token2mel_stats}/train/feats_stats.npz" \
        --resume true --output_dir "${token2mel_exp}" \
        "${opts[@]}" "${data_opts[@]}" ${token2mel_args}
}

# What says which waves a vocoder learns from.
vocoder_waves=("${wave_raw}"/{"${train_set}","${valid_set}"}/utt2num_samples)
vocoder_tables() { # <set> [mels] : what it learns from, into tables
    tables=("${wave_raw}/$1/wav.scp,speech,sound")
    [ $# -lt 2 ] || tables+=("$2/$1/mels.scp,feats,kaldi_ark")
}
train_vocoder() {
    once "${vocoder_exp}/${vocoder_model}" "${vocoder_config}" "${vocoder_args}" \
        "${wave_fs}" "${vocoder_waves[@]}" -- vocoder_training
}
vocoder_training() {
    local data_opts
    training_data "${vocoder_exp}" "${vocoder_waves[0]}" vocoder_tables
    # shellcheck disable=SC2086
    train "${vocoder_exp}" "${vocoder_waves[@]}" -- \
        ${python} -m espnet_fsqdiff.bin.vocoder_train \
        --resume true --output_dir "${vocoder_exp}" --config "${vocoder_config}" \
        --feats_extract_conf "fs=${wave_fs}" \
        --valid_shape_file "${vocoder_waves[1]}" "${data_opts[@]}" ${vocoder_args}
}

tune_vocoder() {
    [ -n "${vocoder_config}" ] ||
        die "--vocoder_finetune_config needs --vocoder_config, which it starts from"
    need 6 "${tokenizer_files[@]}"
    whole 7 "${tokens}/${train_set}/tokens.sha256" "${tokens}/${valid_set}/tokens.sha256"
    local made=("${tokenizer_files[@]}" "${token2mel_opts[@]}" "${inference_config}")
    made+=("${tokens}/${train_set}/tokens.txt" "${tokens}/${valid_set}/tokens.txt")
    local voices
    voices_of "${train_set}" "${valid_set}"
    made+=("${voices[@]}")
    once "${mels}/${train_set}/mels.scp" "${made[@]}" -- generate_mels
    local inputs=(
        "${vocoder_finetune_config}" "${vocoder_finetune_args}" "${wave_fs}" "${made[@]}"
    )
    # Of what the mels were made of, configurations are written anew by each call.
    local data=("${vocoder_exp}/${vocoder_model}") word
    for word in "${made[@]}"; do
        case "${word}" in *.pth | */tokens.txt) data+=("${word}") ;; esac
    done
    data+=("${vocoder_waves[@]}")
    inputs+=("${data[@]}")
    once "${tuned_exp}/${vocoder_model}" "${inputs[@]}" -- vocoder_tuning
}
generate_mels() {
    config inference_config "${inference_config}"
    local mel_opts=(
        --tokenizer_config "${tokenizer_files[0]}" --tokenizer_file "${tokenizer_files[1]}"
        "${token2mel_opts[@]}" --inference_config "${inference_config}"
        --token_dirs "${tokens}/${train_set}" "${tokens}/${valid_set}" "${voices[@]}"
        --output_root "${mels}" --num_jobs "${nj}"
    )
    local threads=$(($(nproc) / nj))
    OMP_NUM_THREADS=$((threads > 0 ? threads : 1)) \
        ${train_cmd} --gpu "${job_gpus}" JOB=1:"${nj}" "${mels}/log/generate.JOB.log" \
        ${python} -m espnet_fsqdiff.bin.generate_mels "${mel_opts[@]}" \
        --device "${job_device}" --job JOB
    ${python} -m espnet_fsqdiff.bin.generate_mels "${mel_opts[@]}" --merge true
}
vocoder_tuning() {
    local data_opts
    training_data "${tuned_exp}" "${vocoder_waves[0]}" vocoder_tables "${mels}"
    # shellcheck disable=SC2086
    train "${tuned_exp}" "${data[@]}" -- ${python} -m espnet_fsqdiff.bin.vocoder_train \
        --init_param "${vocoder_exp}/${vocoder_model}" \
        --resume true --output_dir "${tuned_exp}" --config "${vocoder_finetune_config}" \
        --feats_extract_conf "fs=${wave_fs}" \
        --valid_shape_file "${vocoder_waves[1]}" "${data_opts[@]}" ${vocoder_finetune_args}
}
