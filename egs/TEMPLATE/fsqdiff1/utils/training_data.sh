# What a training reads: tables, whole or in parts. Sourced by fsqdiff.sh, whose
# variables it uses. A table is said as ESPnet does: <path>,<name>,<type>.

data_of() { # <train|valid> <table>... : added to data_opts
    local split=$1 table
    shift
    for table in "$@"; do
        data_opts+=("--${split}_data_path_and_name_and_type" "${table}")
    done
}

train_data() { # <directory> <shape file> <table>... : added to data_opts; parts lie in the directory
    local dir=$1 paths=("$2") types=() table
    shift 2
    for table in "$@"; do
        paths+=("${table%%,*}")
        types+=("${table#*,}")
    done
    if [ "${num_splits}" -gt 1 ]; then
        split_tables "${dir}/splits${num_splits}" "${paths[@]}"
        paths=("${paths[@]##*/}")
        paths=("${paths[@]/#/${dir}/splits${num_splits}/}")
        data_opts+=(--multiple_iterator true)
    fi
    data_opts+=(--train_shape_file "${paths[0]}")
    local number
    for number in "${!types[@]}"; do
        data_of train "${paths[number + 1]},${types[number]}"
    done
}

split_tables() { # <directory> <path>... : each in num_splits parts, unless they are there
    local splits=$1 stamp
    shift
    stamp=$(stat -c '%n %s %y' "$@")
    [ "$(cat "${splits}/.done" 2> /dev/null)" != "${stamp}" ] || return 0
    rm -rf "${splits}"
    ${python} -m espnet2.bin.split_scps --scps "$@" \
        --num_splits "${num_splits}" --output_dir "${splits}"
    echo "${stamp}" > "${splits}/.done"
}
