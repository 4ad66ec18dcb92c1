# Turns `--name value` into the shell variable `name`, which has to have a default.
# Source it after the defaults: . utils/parse_options.sh
# `--help` prints ${help_message}. What is left stands in "$@".

_option_error() {
    echo "$(basename "$0"): error: $*" >&2
    exit 2
}

while [ $# -gt 0 ]; do
    case "$1" in
        -h|--help)
            printf '%s\n' "${help_message:-No help for $(basename "$0").}"
            exit 0
            ;;
        --)
            shift
            break
            ;;
        --*)
            _name=${1#--}
            if [[ "${_name}" == *=* ]]; then
                _option_error "$1: write --${_name%%=*} ${_name#*=}"
            fi
            _name=${_name//-/_}
            # Capitals and _ are the environment's and this script's own.
            if [[ ! "${_name}" =~ ^[a-z][a-z0-9_]*$ ]] || [ -z "${!_name+set}" ]; then
                _option_error "unknown option $1; --help names them all"
            fi
            if [ $# -lt 2 ]; then
                _option_error "option $1 lacks its value"
            fi
            if [[ "${!_name}" =~ ^(true|false)$ ]] && [[ ! "$2" =~ ^(true|false)$ ]]; then
                _option_error "option $1 is true or false, not '$2'"
            fi
            printf -v "${_name}" '%s' "$2"
            shift 2
            ;;
        -*)
            _option_error "unknown option $1; --help names them all"
            ;;
        *)
            break
            ;;
    esac
done
unset _name
