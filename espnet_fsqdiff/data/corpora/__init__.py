"""Published corpora, made into data directories: one module a corpus.

A module has `add_arguments(parser)` and `prepare(args)`;
`python -m espnet_fsqdiff.bin.prepare_corpus <name>` calls them. What they share:

* `finding`: where a corpus comes from: a path, the shared folder, a download;
* `fetching`: downloads that go on where they stopped, checksums, safe unpacking;
* `utterances`: every utterance checked, sets written;
* `prompts`: which recording goes before which utterance, for zero-shot speech;
* `shards`, `merging`: corpora that are larger than memory.

lhotse has recipes for LJSpeech, VCTK, LibriTTS, LibriSpeech and Emilia. They are not
used: they bring lhotse and its dependencies for a few dozen lines of parsing each; of
VCTK 0.92 they read neither the FLAC files nor the microphones; Emilia's reads no tar
shards, and keeps all utterances in memory. Their manifests would be turned into data
directories again.
"""

CORPORA = (
    "emilia",
    "kathleen",
    "librispeech_mini",
    "libritts",
    "ljspeech",
    "vctk",
)
