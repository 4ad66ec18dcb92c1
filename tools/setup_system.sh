#!/usr/bin/env bash
# See to the programs that pip cannot install: flite, espeak-ng.
set -euo pipefail

if [ "${1:-}" = "--help" ]; then
    cat <<'EOF'
Usage: tools/setup_system.sh [--require]

Installs with apt-get, when run by root, what is missing of
    flite      speaks the corpus of egs/mini (make demo, make test)
    espeak-ng  phonemes (for the voice in the box, and --token_type phn with an
               espeak g2p)
Otherwise says in one line each what is missing.

    --require  fail if flite is missing
EOF
    exit 0
fi

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
missing=()
for program in flite espeak-ng; do
    command -v "${program}" >/dev/null || missing+=("${program}")
done
if [ ${#missing[@]} -eq 0 ]; then
    exit 0
fi

status=0
for program in "${missing[@]}"; do
    if "${here}/apt_install.sh" "${program}"; then
        echo "setup: installed ${program}"
    elif [ "${program}" = flite ]; then
        echo "setup: flite is missing (it speaks the corpus of make demo and make test):" \
            "install it, e.g. sudo apt-get install flite" >&2
        [ "${1:-}" = "--require" ] && status=1
    elif [ "${1:-}" != "--require" ]; then
        echo "setup: espeak-ng is missing (the voice in the box and other phonemes need it):" \
            "install it, e.g. sudo apt-get install espeak-ng" >&2
    fi
done
exit "${status}"
