# The environment of a recipe. Its folder is the current one: egs/<corpus>/<task>1.
MAIN_ROOT=$(cd ../../.. && pwd)

# An active environment that has the package is used; else the one of `make env`.
if ! python3 -c 'import importlib.util as u, sys; sys.exit(not u.find_spec("espnet_fsqdiff"))' \
        2> /dev/null && [ -x "${MAIN_ROOT}/.venv/bin/python3" ]; then
    export PATH="${MAIN_ROOT}/.venv/bin:${PATH}"
fi
export PYTHONPATH="${MAIN_ROOT}${PYTHONPATH:+:${PYTHONPATH}}"
export PYTHONIOENCODING=UTF-8
# Sorting and comparing as Kaldi's data directories want it.
export LC_ALL=C
# Commands start several times sooner once their modules are kept compiled.
unset PYTHONDONTWRITEBYTECODE
