"""Settings of every test.

Property tests draw the same examples in every run, so that a change is judged by what
it changes. `pytest --hypothesis-profile explore` draws new ones, ten times as many
where a test names no number.
"""

from hypothesis import settings

settings.register_profile("suite", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None, max_examples=1000)
settings.load_profile("suite")
