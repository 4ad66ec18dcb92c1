#!/usr/bin/env bash
# How natural the sound is: copies of recordings through vocoders and through tokens,
# compared with the recordings in one table a set. --help names the options.

set -euo pipefail

die() {
    echo "${0##*/}: error: $*" >&2
    exit 2
}

sets=                # kathleen: one of its splits; unseen: other voices, of --corpus; by default both, or kathleen alone where there is no shared corpus
chains=              # which of those above; by default all that have their files
split=test           # of kathleen: test, or valid to choose options by
against=griffin_lim  # chain that the others are compared with, where it is among them
num_utts=            # the first utterances of each set alone; by default all
outdir=exp/sound     # copies, tables
datadir=data         # stage 1's
expdir=exp           # models
corpus=              # by default ../../../../shared/corpora/librispeech_mini; of it unseen has the first three utterances of every speaker
tokenizer_exp=       # by default EXPDIR/tokenizer_train_tokenizer
tokenizer_model=valid.mel_loss.ave.pth
token2mel_exp=       # by default EXPDIR/token2mel_train_token2mel
token2mel_model=valid.loss.ave.pth
vocoder_exp=         # by default EXPDIR/vocoder_train_vocoder
tuned_exp=           # by default what --vocoder_finetune_config made of it for this mel
small_exp=           # vocoder of the tokenizer's mels; by default EXPDIR/vocoder_train_vocoder_small
small_tuned_exp=     # by default what --vocoder_finetune_config made of it for the tokenizer's mels
vocoder_model=valid.mel_loss.ave.pth
inference_config=conf/decode_flow.yaml # options of flow matching
threads=1            # of each chain, for the real-time factor
nj=1                 # processes of the scoring
python=python3       # the Python to use

help_message=$(cat << EOF
Usage: local/score_sound.sh [--option value ...], in the recipe's directory

Chains, from the recording:
  griffin_lim       24 kHz mel (80 bins, n_fft 1920, hop 480) and Griffin-Lim
  griffin_lim_256   the same with n_fft 1024, hop 256
  griffin_lim_16k   the tokenizer's 16 kHz mel (n_fft 1024, window 400, hop 160)
  vocoder           the trained vocoder on its mel
  vocoder_tuned     the one that was tuned to generated mels
  vocoder_small     the small vocoder on the tokenizer's 16 kHz mel
  tokens            its tokens, the tokenizer's mel decoder, Griffin-Lim
  tokens_small      its tokens, the tokenizer's mel decoder, the small vocoder
  tokens_tuned      the same, tuned to these mels
  flow              its tokens, flow matching, Griffin-Lim
  flow_vocoder      its tokens, flow matching, the trained vocoder
  flow_tuned        its tokens, flow matching, the tuned one

Options and their values:
$(sed -nE '/^sets=/,/^help_message=/s/^([a-z]\w*)=("[^"]*"|[^# ]*) *(# (.*))?$/  --\1 (\2) \4/p' "${BASH_SOURCE[0]}")

What is there already is not made again; OUTDIR/<set>/score/sound.md is the table.
EOF
)
. utils/parse_options.sh
[ $# -eq 0 ] || die "unexpected argument $1; --help names the options"
. ./path.sh
export OMP_NUM_THREADS=${threads} MKL_NUM_THREADS=${threads}

shared=../../../../shared/corpora/librispeech_mini
if [ -z "${sets}${corpus}" ] && [ ! -f "${shared}/metadata.tsv" ]; then
    echo "unseen is left out: there is no ${shared}/metadata.tsv; name --corpus for it"
    sets=kathleen
fi
[ -n "${sets}" ] || sets="kathleen unseen"
corpus=${corpus:-${shared}}
[[ " ${sets} " != *" unseen "* ]] || [ -f "${corpus}/metadata.tsv" ] ||
    die "${corpus}/metadata.tsv: no such file; name --corpus, or --sets kathleen"

tokenizer_exp=${tokenizer_exp:-${expdir}/tokenizer_train_tokenizer}
token2mel_exp=${token2mel_exp:-${expdir}/token2mel_train_token2mel}
vocoder_exp=${vocoder_exp:-${expdir}/vocoder_train_vocoder}
tuned_exp=${tuned_exp:-${vocoder_exp}_train_vocoder_finetune_${token2mel_exp##*/token2mel_}}
small_exp=${small_exp:-${expdir}/vocoder_train_vocoder_small}
small_tuned_exp=${small_tuned_exp:-${small_exp}_train_vocoder_small_finetune_${tokenizer_exp##*/tokenizer_}}

known="griffin_lim griffin_lim_256 griffin_lim_16k vocoder vocoder_tuned vocoder_small"
known+=" tokens tokens_small tokens_tuned flow flow_vocoder flow_tuned"
vocoder_of() { # <chain> : directory of its trained vocoder, if it has one
    case "$1" in
        tokens_tuned) echo "${small_tuned_exp}" ;;
        *_small) echo "${small_exp}" ;;
        *tuned) echo "${tuned_exp}" ;;
        *vocoder) echo "${vocoder_exp}" ;;
    esac
}
files_of() { # <chain> : what it needs
    local dir
    case "$1" in
        griffin_lim*) ;;
        tokens* | flow*)
            echo "${tokenizer_exp}/config.yaml ${tokenizer_exp}/${tokenizer_model}" ;;
    esac
    case "$1" in
        flow*) echo "${token2mel_exp}/config.yaml ${token2mel_exp}/${token2mel_model}" ;;
    esac
    dir=$(vocoder_of "$1")
    [ -z "${dir}" ] || echo "${dir}/config.yaml ${dir}/${vocoder_model}"
}
missing_of() { # <chain> : the first of its files that is not there
    local file
    for file in $(files_of "$1"); do
        [ -e "${file}" ] || { echo "${file}"; return; }
    done
}
wanted=()
for chain in ${chains:-${known}}; do
    [[ " ${known} " = *" ${chain} "* ]] || die "no chain ${chain}; known: ${known}"
    missing=$(missing_of "${chain}")
    if [ -z "${missing}" ]; then
        wanted+=("${chain}")
    elif [ -n "${chains}" ]; then
        die "${missing}, which ${chain} needs, is missing; train it first (stages 6 and 11)"
    else
        echo "${chain} is left out: there is no ${missing}"
    fi
done

unseen_data() { # <directory> : a fixed choice of other voices
    mkdir -p "$1"
    tail -n +2 "${corpus}/metadata.tsv" | sort |
        awk -F'\t' '++n[$3] <= 3' > "$1/chosen.tsv"
    awk -F'\t' -v dir="${corpus}" '{print $1, dir "/" $2}' "$1/chosen.tsv" > "$1/wav.scp"
    awk -F'\t' '{print $1, $6}' "$1/chosen.tsv" > "$1/text"
    awk -F'\t' '{print $1, $3}' "$1/chosen.tsv" > "$1/utt2spk"
    awk -F'\t' '{of[$3] = of[$3] " " $1} END {for (s in of) print s of[s]}' \
        "$1/chosen.tsv" | sort > "$1/spk2utt"
}
set_data() { # <set> <directory> : wav.scp, text, utt2spk, spk2utt of it
    local whole=$2
    [ -z "${num_utts}" ] || whole=$2_all
    case "$1" in
        kathleen)
            [ -f "${datadir}/${split}/wav.scp" ] ||
                die "${datadir}/${split}/wav.scp is missing; run stage 1 (data) first"
            mkdir -p "${whole}"
            cp "${datadir}/${split}"/{wav.scp,text,utt2spk,spk2utt} "${whole}" ;;
        unseen) unseen_data "${whole}" ;;
        *) die "no set $1; known: kathleen unseen" ;;
    esac
    [ -n "${num_utts}" ] || return 0
    mkdir -p "$2"
    local name
    for name in wav.scp text utt2spk; do
        head -n "${num_utts}" "${whole}/${name}" > "$2/${name}"
    done
    awk '{of[$2] = of[$2] " " $1} END {for (s in of) print s of[s]}' "$2/utt2spk" |
        sort > "$2/spk2utt"
}

extract() { # <set> : its tokens
    ${python} -m espnet_fsqdiff.bin.extract_tokens \
        --train_config "${tokenizer_exp}/config.yaml" \
        --model_file "${tokenizer_exp}/${tokenizer_model}" \
        --data_dirs "${outdir}/$1/data" --output_root "${outdir}/$1/tokens" "${@:2}"
}
stamp() { # <chain> <set> : changes when a file that the copies depend on does
    # shellcheck disable=SC2046
    { echo "$1 ${threads}"; cat "${outdir}/$2/data/wav.scp" "${inference_config}" \
        $(files_of "$1"); } | sha256sum
}
copies() { # <chain> <set> : wav.scp and stats.json of a chain
    local dir=${outdir}/$2/$1 vocoder opts=()
    vocoder=$(vocoder_of "$1")
    [ -z "${vocoder}" ] || opts=(
        --vocoder_train_config "${vocoder}/config.yaml"
        --vocoder_file "${vocoder}/${vocoder_model}"
    )
    case "$1" in
        griffin_lim_256) opts=(--n_fft 1024 --n_shift 256) ;;
        griffin_lim_16k) opts=(--fs 16000 --n_fft 1024 --win_length 400 --n_shift 160) ;;
        flow*) opts+=(
            --token2mel_config "${token2mel_exp}/config.yaml"
            --token2mel_file "${token2mel_exp}/${token2mel_model}"
        ) ;;
    esac
    [ "$(cat "${dir}/.done" 2> /dev/null)" != "$(stamp "$1" "$2")" ] || return 0
    echo "== $2: $1"
    # Half a run is continued, of the same files alone.
    if [ "$(cat "${dir}/.begun" 2> /dev/null)" != "$(stamp "$1" "$2")" ]; then
        rm -rf "${dir}"
        mkdir -p "${dir}"
        stamp "$1" "$2" > "${dir}/.begun"
    fi
    case "$1" in
        griffin_lim* | vocoder*)
            ${python} -m espnet_fsqdiff.bin.copy_synthesis --num_threads "${threads}" \
                --wav_scp "${outdir}/$2/data/wav.scp" --output_dir "${dir}" "${opts[@]}" ;;
        *)
            extract "$2" --job 1
            extract "$2" --merge true
            # The options of the configuration's own vocoder are not for a trained one.
            [ -z "${vocoder}" ] || opts+=(--vocoder trained --vocoder_conf "{}")
            [[ "$1" = tokens* ]] || opts+=(--inference_config "${inference_config}")
            ${python} -m espnet_fsqdiff.bin.resynthesize \
                --train_config "${tokenizer_exp}/config.yaml" \
                --model_file "${tokenizer_exp}/${tokenizer_model}" \
                --tokens "${outdir}/$2/tokens/data/tokens.scp" --output_dir "${dir}" \
                "${opts[@]}" ;;
    esac
    stamp "$1" "$2" > "${dir}/.done"
}

for set in ${sets}; do
    set_data "${set}" "${outdir}/${set}/data"
    systems=()
    for chain in "${wanted[@]}"; do
        copies "${chain}" "${set}"
        systems+=(--system "${chain}=${outdir}/${set}/${chain}")
    done
    [[ " ${wanted[*]} " != *" ${against} "* ]] || systems+=(--against "${against}")
    echo "== ${set}: score"
    ${python} -m espnet_fsqdiff.bin.score_sound --ref "${outdir}/${set}/data" \
        --text "${outdir}/${set}/data/text" --outdir "${outdir}/${set}/score" \
        --nj "${nj}" "${systems[@]}"
done
