"""Kaldi data directories, audio files and the corpora of the recipes."""
