"""Prompts for zero-shot speech: which recording goes before which utterance.

They become two more files of a data directory, see `data.datadir`.
"""

from collections import defaultdict
from pathlib import Path
from typing import Dict, Iterable, List, Mapping, Sequence, Union

from espnet_fsqdiff.data.corpora.utterances import Utterance
from espnet_fsqdiff.data.datadir import PROMPT_TEXT, PROMPT_WAV, write_table
from espnet_fsqdiff.errors import InputError

# The lengths that zero-shot systems are usually given, in seconds.
SHORTEST, LONGEST = 3.0, 10.0


def choose_prompts(
    targets: Sequence[Utterance],
    pool: Iterable[Utterance],
    seconds: Mapping[str, float],
) -> Dict[str, Utterance]:
    """Choose another utterance of the same speaker for each utterance.

    The rule: of the speaker's utterances in the order of their ids, the first one
    after the target that lasts 3 to 10 s, going on from the first when the last is
    reached; if none lasts so, the longest of those below 10 s; else the shortest.

    Args:
        targets: What will be spoken.
        pool: What prompts may be taken from.
        seconds: Lengths of the utterances in `pool`.

    Returns:
        The prompt by the target's id.

    Raises:
        InputError: A speaker has one utterance alone.
    """
    by_speaker: Dict[str, List[Utterance]] = defaultdict(list)
    for utterance in sorted(pool):
        by_speaker[utterance.speaker].append(utterance)
    return {t.utt: _prompt(t, by_speaker[t.speaker], seconds) for t in targets}


def _prompt(
    target: Utterance, own: Sequence[Utterance], seconds: Mapping[str, float]
) -> Utterance:
    after = [u for u in own if u.utt > target.utt]
    others = after + [u for u in own if u.utt < target.utt]
    if not others:
        raise InputError(
            f"{target.utt}: speaker {target.speaker} has no other utterance that could "
            "be its prompt; complete the corpus"
        )
    for other in others:
        if SHORTEST <= seconds[other.utt] <= LONGEST:
            return other
    short = [u for u in others if seconds[u.utt] < SHORTEST]
    if short:
        return max(short, key=lambda u: seconds[u.utt])
    return min(others, key=lambda u: seconds[u.utt])


def write_prompts(folder: Union[str, Path], prompts: Mapping[str, Utterance]) -> None:
    """Write `prompt_wav.scp` and `prompt_text` of a data directory."""
    folder = Path(folder)
    write_table(folder / PROMPT_TEXT, {u: p.text for u, p in prompts.items()})
    write_table(folder / PROMPT_WAV, {u: str(p.wav) for u, p in prompts.items()})
