"""Which speech frames belong to which text token: CTC Viterbi alignment."""

from typing import Optional, Sequence, Tuple

import torch

from espnet_fsqdiff.errors import InputError

# Stands for log 0: low enough never to be chosen, finite so that sums stay so.
_FLOOR = -1e4
_IMPOSSIBLE = -1e30


def frames_needed(targets: torch.Tensor) -> int:
    """The fewest frames in which CTC can say `targets` (S,).

    Equal neighbours need a blank between them.
    """
    return len(targets) + int((targets[1:] == targets[:-1]).sum())


def ctc_align(
    log_probs: torch.Tensor, targets: torch.Tensor, blank: int = 0
) -> torch.Tensor:
    """Frames of every target by the best CTC path.

    Args:
        log_probs: Log probabilities of the recognition head (T, V + 1).
        targets: Columns of `log_probs` to be said (S,), int64: text ids already
            shifted by the caller to make room for the blank (id + 1 where the
            blank is column 0).
        blank: Column of the blank.

    Returns:
        Durations (S,), int64, each >= 1, their sum T. A token owns the frames
        between the midpoints of the gaps to its neighbours; the first begins at
        frame 0 and the last ends at frame T.

    Raises:
        InputError: The text is empty or needs more than T frames, a target is
            no column or is the blank, or a log probability is NaN. The message
            names no utterance: the caller knows it.
    """
    return ctc_align_batch(
        log_probs[None],
        torch.tensor([len(log_probs)]),
        targets[None],
        torch.tensor([len(targets)]),
        blank=blank,
    )[0]


def ctc_align_batch(
    log_probs: torch.Tensor,
    lengths: torch.Tensor,
    targets: torch.Tensor,
    target_lengths: torch.Tensor,
    blank: int = 0,
    utt_ids: Optional[Sequence[str]] = None,
) -> torch.Tensor:
    """`ctc_align` of a padded batch.

    Args:
        log_probs: Log probabilities (B, T, V + 1); padding is not looked at.
        lengths: Frames of each utterance (B,).
        targets: Columns to be said (B, S), already shifted for the blank.
        target_lengths: Targets of each utterance (B,).
        blank: Column of the blank.
        utt_ids: Names for the error messages.

    Returns:
        Durations (B, S), int64, 0 in the padding.

    Raises:
        InputError: As in `ctc_align`.
    """
    device = log_probs.device
    lengths = lengths.to(device)
    targets = targets.to(device)
    target_lengths = target_lengths.to(device)
    _check(log_probs, lengths, targets, target_lengths, blank, utt_ids)

    B, S = targets.shape
    real = torch.arange(S, device=device) < target_lengths[:, None]
    targets = torch.where(real, targets, blank)
    # States of a row: blank, first target, blank, second target, ..., blank.
    states = torch.full((B, 2 * S + 1), blank, device=device)
    states[:, 1::2] = targets
    # A blank may be skipped between two different targets.
    may_skip = torch.zeros_like(states, dtype=torch.bool)
    may_skip[:, 3::2] = targets[:, 1:] != targets[:, :-1]

    steps = _best_steps(log_probs, states, may_skip)
    path = _trace_back(*steps, lengths, target_lengths)
    return _durations(path, lengths, target_lengths, S)


def _check(log_probs, lengths, targets, target_lengths, blank, utt_ids) -> None:
    for b, (T, S) in enumerate(zip(lengths.tolist(), target_lengths.tolist())):
        who = f"{utt_ids[b]}: " if utt_ids is not None else ""
        row = targets[b, :S]
        if S == 0:
            raise InputError(f"{who}empty text; give it a transcript or drop it")
        columns = log_probs.shape[-1]
        bad = (row < 0) | (row >= columns) | (row == blank)
        if bad.any():
            raise InputError(
                f"{who}text id {int(row[bad][0])} (shifted for the blank) is no "
                f"symbol of the recognition head, which has {columns} columns; "
                "use the token list that the tokenizer was trained with"
            )
        needed = frames_needed(row)
        if needed > T:
            raise InputError(
                f"{who}the text is longer than the frames can hold: {S} tokens "
                f"need {needed} frames, the speech has {T}; correct the "
                "transcript, drop the utterance or use a higher token rate"
            )
        if log_probs[b, :T].isnan().any():
            raise InputError(
                f"{who}the recognition head gives NaN; check the audio and the "
                "tokenizer's model file"
            )


def _best_steps(log_probs, states, may_skip) -> Tuple[torch.Tensor, torch.Tensor]:
    """Forward pass: scores (B, T, N) and states advanced (B, T, N), uint8."""
    B, T, _ = log_probs.shape
    N = states.shape[1]
    score = log_probs.new_full((B, N), _IMPOSSIBLE, dtype=torch.float64)
    score[:, 0] = 0.0
    all_scores = score.new_empty(B, T, N)
    advanced = torch.zeros(B, T, N, dtype=torch.uint8, device=score.device)
    for t in range(T):
        emission = log_probs[:, t].gather(1, states).double()
        emission = emission.nan_to_num(nan=_FLOOR).clamp(min=_FLOOR)
        one = torch.nn.functional.pad(score, (1, 0), value=_IMPOSSIBLE)[:, :-1]
        two = torch.nn.functional.pad(score, (2, 0), value=_IMPOSSIBLE)[:, :-2]
        two = two.masked_fill(~may_skip, _IMPOSSIBLE)
        score, advanced[:, t] = torch.stack([score, one, two]).max(dim=0)
        score = score + emission
        all_scores[:, t] = score
    return all_scores, advanced


def _trace_back(all_scores, advanced, lengths, target_lengths) -> torch.Tensor:
    """State of every frame (B, T), -1 in the padding."""
    B, T, _ = all_scores.shape
    rows = torch.arange(B, device=all_scores.device)
    last = 2 * target_lengths
    at_end = all_scores[rows, lengths - 1]
    ends_in_token = at_end[rows, last - 1] >= at_end[rows, last]
    state = torch.where(ends_in_token, last - 1, last)
    path = torch.full((B, T), -1, dtype=torch.int64, device=all_scores.device)
    for t in range(T - 1, -1, -1):
        inside = t < lengths
        path[:, t] = torch.where(inside, state, -1)
        step = advanced[rows, t, state].long()
        state = torch.where(inside, state - step, state)
    return path


def _durations(path, lengths, target_lengths, S: int) -> torch.Tensor:
    """From the state of every frame to frames per token (B, S)."""
    B, T = path.shape
    frame = torch.arange(T, device=path.device).expand(B, T)
    spoken = path % 2 == 1  # -1 % 2 == 1 too: the padding goes to a spare slot
    token = torch.where(spoken & (path >= 0), path // 2, S)
    first = torch.full((B, S + 1), T, device=path.device)
    first = first.scatter_reduce(1, token, frame, "amin")[:, :S]
    after = torch.zeros((B, S + 1), dtype=torch.int64, device=path.device)
    after = after.scatter_reduce(1, token, frame + 1, "amax")[:, :S]

    ends = lengths[:, None].repeat(1, S)
    position = torch.arange(S - 1, device=path.device)
    followed = position < target_lengths[:, None] - 1
    middle = (after[:, :-1] + first[:, 1:]) // 2
    ends[:, :-1] = torch.where(followed, middle, ends[:, :-1])
    return ends.diff(dim=1, prepend=ends.new_zeros(B, 1))


def expand_durations(
    durations: torch.Tensor, num_frames: int
) -> Tuple[torch.Tensor, torch.Tensor]:
    """Lay the text over the frames.

    Args:
        durations: Frames of every text token (B, S), int64, >= 0; 0 in the
            padding.
        num_frames: T, frames of the padded batch.

    Returns:
        index: Text position that every frame belongs to (B, T), int64. Frames
            past the sum of a row carry the position of its last token of
            non-zero duration, frames of an empty row 0: mask them by lengths.
        fraction: How far through its token the middle of a frame lies (B, T),
            float32 in (0, 1); 1 past the sum of a row.
    """
    ends = durations.cumsum(dim=1)
    total = ends[:, -1:]
    frame = torch.arange(num_frames, device=durations.device).unsqueeze(0)
    inside = frame < total
    held = torch.minimum(frame, (total - 1).clamp(min=0))
    # The symbols that have ended; ONNX has no `searchsorted`.
    index = (ends.unsqueeze(1) <= held.unsqueeze(-1)).sum(-1)
    index = torch.where(total > 0, index, 0)
    length = durations.gather(1, index)
    start = ends.gather(1, index) - length
    fraction = (frame - start + 0.5) / length.clamp(min=1)
    return index, torch.where(inside, fraction, 1.0)
