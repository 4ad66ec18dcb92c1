"""Names of the options and files from tokens to waves, by themselves for quick help."""

VOCODER_OPTIONS = ("vocoder", "vocoder_conf", "vocoder_train_config", "vocoder_file")
TOKEN2MEL_OPTIONS = ("token2mel_config", "token2mel_file", "token2mel_conf")
# Arguments of `token2wav.load_chain` that users give.
CHAIN_OPTIONS = (*VOCODER_OPTIONS, *TOKEN2MEL_OPTIONS)
FILE_OPTIONS = (
    "vocoder_train_config",
    "vocoder_file",
    "token2mel_config",
    "token2mel_file",
)
# Roles in a pack, and the options that take their files.
CHAIN_ROLES = {
    "token2mel_config": "token2mel_config",
    "token2mel_file": "token2mel_file",
    "vocoder_config": "vocoder_train_config",
    "vocoder_file": "vocoder_file",
}
