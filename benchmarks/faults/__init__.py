"""Kills, full disks and broken files: does the recipe come out the same?

    python -m benchmarks.faults --help

`recipe` runs stages of a copy of the mini recipe, `warm` lets its commands start
without waiting for imports, `trees` compares what came out, `moments` draws when to
kill, `kills`, `disk` and `damage` do the harm, `records` keeps and tabulates results.
"""
