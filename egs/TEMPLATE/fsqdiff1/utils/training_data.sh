# What a training reads: tables, whole or in parts. Sourced by fsqdiff.sh, whose
# variables it uses. A table is said as ESPnet does: <path>,<name>,<type>. Functions
# named <...>_tables put those of a set into tables: <set> <further words>...

tables_of() { # <train|valid> <..._tables> <words>... : whole, added to data_opts
    local set=${1}_set option=--${1}_data_path_and_name_and_type tables table
    "$2" "${!set}" "${@:3}"
    for table in "${tables[@]}"; do data_opts+=("${option}" "${table}"); done
}

statistics_data() { # <..._tables> <words>... : both sets whole, into data_opts
    data_opts=()
    tables_of train "$@"
    tables_of valid "$@"
}

training_data() { # <directory> <shape file> <..._tables> <words>... : into data_opts; parts lie in the directory
    local splits=$1/splits${num_splits} shape=$2 tables table
    shift 2
    data_opts=()
    tables_of valid "$@"
    if [ "${num_splits}" -le 1 ]; then
        tables_of train "$@"
        data_opts+=(--train_shape_file "${shape}")
        return
    fi
    "$1" "${train_set}" "${@:2}"
    split_tables "${splits}" "${shape}" "${tables[@]%%,*}"
    data_opts+=(--multiple_iterator true --train_shape_file "${splits}/${shape##*/}")
    for table in "${tables[@]}"; do
        data_opts+=(--train_data_path_and_name_and_type)
        data_opts+=("${splits}/$(basename "${table%%,*}"),${table#*,}")
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
