"""Random and hostile inputs to every door of the package.

    python -m benchmarks.fuzz --num_inputs 10000 --seed 0 --output_dir fuzz

Each input has to work or to raise `InputError` with one line that names the culprit:
no other exception, no hang, no memory beyond a limit, nothing run or written that the
input asked for.
"""
