# How jobs are run: `cmd_backend` is local, slurm or sge, as in ESPnet's recipes.
#   train_cmd  statistics, token extraction and other jobs on processors
#   cuda_cmd   training
#   decode_cmd synthesis
# Stages 1 to 4, 8 and 13 run where they are called, on its processors.
# slurm and sge use slurm.pl and queue.pl of an ESPnet or Kaldi checkout, which
# have to be on the PATH, and conf/slurm.conf and conf/queue.conf.

cmd_backend=${cmd_backend:-local}

_require() {
    if ! command -v "$1" > /dev/null; then
        echo "cmd.sh: error: cmd_backend=${cmd_backend} needs $1 on the PATH:" \
            "PATH=\$PATH:<espnet>/egs2/TEMPLATE/asr1/utils (or use cmd_backend=local)" >&2
        return 2
    fi
}

case "${cmd_backend}" in
    local)
        train_cmd="${python:-python3} -m espnet_fsqdiff.bin.run_local"
        cuda_cmd="${train_cmd}"
        decode_cmd="${train_cmd}"
        ;;
    slurm)
        _require slurm.pl || return 2
        train_cmd="slurm.pl"
        cuda_cmd="slurm.pl"
        decode_cmd="slurm.pl"
        ;;
    sge)
        _require queue.pl || return 2
        train_cmd="queue.pl"
        cuda_cmd="queue.pl"
        decode_cmd="queue.pl"
        ;;
    *)
        echo "cmd.sh: error: cmd_backend=${cmd_backend} is unknown; use local, slurm or sge" >&2
        return 2
        ;;
esac
