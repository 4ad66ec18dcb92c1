"""Comparing decoders trained from the same corpus: plan, scores, verdicts, report."""
