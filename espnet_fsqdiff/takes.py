"""Several takes of an utterance, and which of them to keep.

The score of a take is log p(text | tokens) by the tokenizer's recognition head, in
nats per symbol: dropped and repeated words lower it. A tokenizer without such a head
leaves the likelihood of the tokens themselves, log p(tokens | text) by the model that
drew them, in nats per token. Either is the higher the better, and compares takes of
one text alone. A take that has come to no end loses against any that has.
"""

from typing import TYPE_CHECKING, List, Sequence, Tuple

import numpy as np
import torch

from espnet_fsqdiff.recognition import token_scores
from espnet_fsqdiff.text_to_token import Spoken

if TYPE_CHECKING:
    from espnet_fsqdiff.manner import Manner, Plan
    from espnet_fsqdiff.synthesis import Synthesizer


def choose_takes(
    synthesizer: "Synthesizer",
    plans: Sequence["Plan"],
    takes: Sequence[Spoken],
    manner: "Manner",
) -> Tuple[List["Plan"], List[Spoken], List[List[float]]]:
    """Keep the best take of every text.

    Args:
        synthesizer: Whose takes they are.
        plans: `manner.num_takes` of the first text, then those of the second, ...
        takes: What came of each.
        manner: How they were spoken.

    Returns:
        Plan and take kept of each text, and the scores of all its takes.
    """
    scores = take_scores(synthesizer, plans, takes)
    best, of_texts = [], []
    for first in range(0, len(plans), manner.num_takes):
        group = range(first, first + manner.num_takes)
        best.append(max(group, key=lambda i: (takes[i].complete, scores[i])))
        of_texts.append([scores[i] for i in group])
    return [plans[i] for i in best], [takes[i] for i in best], of_texts


def take_scores(
    synthesizer: "Synthesizer",
    plans: Sequence["Plan"],
    takes: Sequence[Spoken],
) -> List[float]:
    """The score of each take, see the module."""
    tokens = [take.tokens for take in takes]
    tokenizer = synthesizer.tokenizer
    if tokenizer.has_ctc:
        symbols = {plan.text: synthesizer.heard_symbols(plan.text) for plan in plans}
        return token_scores(tokenizer, tokens, [symbols[plan.text] for plan in plans])
    if plans[0].prompt is not None:
        pairs = zip(plans, tokens, strict=True)
        tokens = [torch.cat([plan.prompt.tokens, ids]) for plan, ids in pairs]
    durations = None
    if plans[0].durations is not None:
        durations = [torch.from_numpy(plan.durations) for plan in plans]
    text = [torch.from_numpy(np.asarray(plan.ids)) for plan in plans]
    return synthesizer.model.log_likelihood(text, tokens, durations)
