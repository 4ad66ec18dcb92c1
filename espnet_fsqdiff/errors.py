"""The one exception for faults in what the user gave."""


class InputError(ValueError):
    """A fault in data, text, configuration or a checkpoint given by the user.

    Its message is one line that names the culprit (an utterance, a file, a
    character) and the mend. Commands print it and exit with status 2; anything
    else that is raised is a fault of this package.
    """
