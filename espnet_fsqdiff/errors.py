"""The one exception for faults in what the user gave."""

# Longer messages are cut: they quote what was given, which may be of any length.
MAX_CHARS = 800
# What torch puts before the message of an error in a worker process ends with this.
_OF_A_WORKER = "\nespnet_fsqdiff.errors.InputError: "


class InputError(ValueError):
    """A fault in data, text, configuration or a checkpoint given by the user.

    Its message is one line that names the culprit (an utterance, a file, a
    character) and the mend. Commands print it and exit with status 2; anything
    else that is raised is a fault of this package.

    Characters that would break the line or steer a terminal are shown by their
    codes, and a message of more than `MAX_CHARS` characters loses its middle.
    """

    def __init__(self, message: object = ""):
        super().__init__(one_line(str(message)))


def one_line(message: str) -> str:
    """A message as `InputError` keeps it."""
    if _OF_A_WORKER in message:
        message = message.rpartition(_OF_A_WORKER)[2]
    message = message.strip(" \r\n")
    if not message.isprintable():
        message = "".join(
            c if c.isprintable() else c.encode("unicode_escape").decode()
            for c in message
        )
    if len(message) > MAX_CHARS:
        half = MAX_CHARS // 2
        message = f"{message[:half]} [...] {message[-half:]}"
    return message
