"""The numerical claims of the paper, one stage a module; see egs/fsq_optimality."""
