#!/usr/bin/env bash
# Run a command with the environment's programs first: tools/in_env.sh DIR CMD [ARG ...]
set -euo pipefail

VIRTUAL_ENV=$(cd "$1" && pwd)
shift
export VIRTUAL_ENV PATH="${VIRTUAL_ENV}/bin:${PATH}"
# Commands start several times sooner once their modules are kept compiled.
unset PYTHONDONTWRITEBYTECODE
exec "$@"
