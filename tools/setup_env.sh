#!/usr/bin/env bash
# Install torch, ESPnet and this package (editable) into an environment.
set -euo pipefail

usage() {
    cat <<'EOF'
Usage: tools/setup_env.sh [--venv DIR] [--base-python PYTHON]
       tools/setup_env.sh --python PYTHON

    --venv DIR            virtual environment to make, or to complete if it is there
                          (default: .venv in the project)
    --base-python PYTHON  Python >= 3.11, < 3.14 to make it with (default: python3)
    --python PYTHON       install into the environment of this PYTHON, which is in use;
                          no virtual environment is made

A torch or an ESPnet that is in the environment is kept. A second call returns at once
unless the set-up's own files have changed; one that was killed starts again.
Everything the installers print is in DIR/setup.log.
EOF
}

die() {
    echo "setup: error: $*" >&2
    exit 1
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=${root}/.venv
base_python=python3
python=
while [ $# -gt 0 ]; do
    case "$1" in
        --venv | --base-python | --python)
            [ -n "${2:-}" ] || die "$1 needs a value (see --help)"
            case "$1" in
                --venv) venv=$(realpath -m -- "$2") ;;
                --base-python) base_python=$2 ;;
                --python) python=$2 ;;
            esac
            shift 2
            ;;
        --help | -h)
            usage
            exit 0
            ;;
        *) die "unknown option $1 (see --help)" ;;
    esac
done

check_python() { # $1: the interpreter
    local version
    version=$("$1" -c 'import sys; print(*sys.version_info[:3], sep=".")' 2>/dev/null) ||
        die "$1 is no working Python: name one >= 3.11, < 3.14 (make env PYTHON=...)"
    case "${version}" in
        3.11.* | 3.12.* | 3.13.*) ;;
        *) die "$1 is Python ${version}, but ESPnet needs >= 3.11, < 3.14" \
            "(make env PYTHON=...)" ;;
    esac
    echo "${version}"
}

# The set-up is finished if the stamp holds the check sum of all that decides on it.
in_use=false
if [ -n "${python}" ]; then
    in_use=true
    check_python "${python}" >/dev/null
    env=$("${python}" -c 'import sys; print(sys.prefix)')
else
    env=${venv}
    python=${env}/bin/python
fi
stamp=${env}/.fsqdiff-setup
begun=${env}/.fsqdiff-begun # there while a set-up is under way, or was killed
made=${env}/.fsqdiff-venv   # there if this script has made the environment
inputs() {
    # The version decides what pip says about the package, so it is an input as well.
    cat setup.py pyproject.toml tools/*.sh tools/*.py espnet_fsqdiff/__init__.py
    echo "${root}"
}
cd "${root}"
want=$(inputs | cksum)
finished() {
    [ -x "${python}" ] && [ ! -e "${begun}" ] &&
        [ "$(cat "${stamp}" 2>/dev/null)" = "${want}" ]
}
if finished; then
    exit 0
fi

# One set-up of this checkout at a time; who had to wait may find it finished.
exec 9<"${BASH_SOURCE[0]}"
say() { echo "setup: $* (after ${SECONDS} s)"; }
if command -v flock >/dev/null && ! flock -n 9; then
    say "waiting for another set-up to end"
    flock 9
fi
if finished; then
    exit 0
fi

# What pip leaves behind when it is killed cannot be told from a good package.
if [ -e "${begun}" ] && [ -e "${made}" ] && [ "${in_use}" = false ]; then
    say "the last set-up was cut off, starting again"
    rm -rf "${env}"
fi
if [ "${in_use}" = false ] && ! "${python}" -c "" 2>/dev/null; then
    if [ -d "${env}" ] && [ ! -e "${env}/pyvenv.cfg" ] && [ -n "$(ls -A "${env}")" ]; then
        die "${env} is not empty and no virtual environment: name another (VENV=...)"
    fi
    version=$(check_python "${base_python}")
    say "making ${env} with Python ${version}"
    mkdir -p "${env}"
    touch "${made}" "${begun}"
    "${base_python}" -m venv "${env}" >"${env}/setup.log" 2>&1 || {
        # Debian keeps ensurepip in a package of its own.
        tools/apt_install.sh python3-venv &&
            "${base_python}" -m venv "${env}" >"${env}/setup.log" 2>&1
    } || die "${base_python} -m venv ${env} failed: see ${env}/setup.log" \
        "(on Debian: sudo apt-get install python3-venv)"
else
    check_python "${python}" >/dev/null
    [ -w "${env}" ] || die "${env} belongs to another user: name your own (VENV=...)"
fi

rm -f "${stamp}"
touch "${begun}"
log=${env}/setup.log
: >"${log}"
work=$(mktemp -d)
trap 'rm -rf "${work}"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

run() { # run a command into the log; on failure show the log's end
    echo "+ $*" >>"${log}"
    "$@" >>"${log}" 2>&1 </dev/null && return
    rm -f "${begun}" # it has failed, but was not cut off: keep what is there
    tail -n 15 "${log}" >&2
    die "this failed: $* (all of it in ${log})"
}

# uv trusts its own list of certificates; pip, and we, the system's or the user's.
if [ -z "${SSL_CERT_FILE:-}" ]; then
    for bundle in "${PIP_CERT:-}" /etc/ssl/certs/ca-certificates.crt \
        /etc/pki/tls/certs/ca-bundle.crt; do
        if [ -f "${bundle}" ]; then
            export SSL_CERT_FILE=${bundle}
            break
        fi
    done
fi

# uv and not pip: only uv can overrule ESPnet 202511's demand for an old setuptools.
uv=("${python}" -m uv)
if ! "${uv[@]}" --version >/dev/null 2>&1; then
    if ! "${python}" -m pip --version >/dev/null 2>&1; then
        run "${python}" -m ensurepip
    fi
    run "${python}" -m pip install "uv>=0.5"
fi

torch=$("${python}" tools/plan_env.py torch)
if [ -n "${torch}" ]; then
    say "installing ${torch}"
    if "${python}" -m pip --version >/dev/null 2>&1; then
        run "${python}" -m pip install "${torch}" # heeds all of pip's settings
    else
        run "${uv[@]}" pip install --python "${python}" "${torch}"
    fi
fi

say "installing ESPnet and espnet_fsqdiff with what they need"
"${python}" tools/plan_env.py uv "${work}" >"${work}/arguments.txt"
mapfile -t arguments <"${work}/arguments.txt"
run "${uv[@]}" pip install --python "${python}" "${arguments[@]}"

# Not worth failing for: without it, tables of copies say that it is not installed.
say "compiling pesq, one of the measures of scoring"
"${python}" tools/plan_env.py extra "${work}" >"${work}/arguments.txt"
mapfile -t arguments <"${work}/arguments.txt"
echo "+ ${arguments[*]}" >>"${log}"
timeout --foreground 300 "${uv[@]}" pip install --python "${python}" \
    "${arguments[@]}" >>"${log}" 2>&1 </dev/null ||
    say "pesq is left out: it has to be compiled, and that failed (${log} says why)"

say "checking that torch, torchaudio and ESPnet can be imported"
run "${python}" tools/mend_torchaudio.py
run "${python}" -c "import espnet2, espnet_fsqdiff.espnet_check as c; c.require_espnet()"

rm -f "${begun}"
echo "${want}" >"${stamp}.tmp"
mv "${stamp}.tmp" "${stamp}"
say "${env} is ready"
