"""The language model: what it sees, its loss, generation as in the uncached pass."""

import pytest
import torch

from espnet_fsqdiff.codebook import FSQCodebook
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.lm import LMLoss, LMSampling, Qwen2Decoder, TokenLM, generate
from espnet_fsqdiff.nets.heads import JointHead, PairwiseHead
from espnet_fsqdiff.nets.text_encoder import TextEncoder

K, S, T = 27, 5, 9
# Text laid over the speech or before it; both kinds of embedding, head, positions.
KINDS = {
    "prefix": dict(lay_text=False),
    "parallel": dict(lay_text=False, text_step=2.2, points=True),
    "laid": dict(lay_text=True, table=False, points=True),
}


def make(lay_text=False, **options):
    torch.manual_seed(0)
    codebook = FSQCodebook((3, 3, 3))
    head = PairwiseHead if options.get("points") else JointHead
    network = TokenLM(
        codebook,
        TextEncoder(7, dim=16, num_layers=1, num_symbol_layers=1, positions=False),
        Qwen2Decoder(32, num_layers=2, num_heads=4, num_kv_heads=2),
        head(32, codebook),
        lay_text,
        **options,
    )
    # Far from where training starts, so that everything matters.
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return network.eval()


def batch():
    """Two utterances, the second shorter: tokens, text, their lengths, durations."""
    torch.manual_seed(1)
    tokens, text = torch.randint(K, (2, T)), torch.randint(7, (2, S))
    lengths, text_lengths = torch.tensor([T, 6]), torch.tensor([S, 3])
    durations = torch.tensor([[1, 3, 2, 1, 2], [1, 3, 2, 0, 0]])
    return tokens, lengths, text, text_lengths, durations


def logits_of(network, tokens, text, text_lengths, durations):
    return network.logits(network(tokens, text, text_lengths, durations))


@pytest.fixture(params=KINDS)
def network(request):
    return make(**KINDS[request.param])


@torch.no_grad()
def test_padding_and_company_do_not_matter(network):
    tokens, lengths, text, text_lengths, durations = batch()
    together = logits_of(network, tokens, text, text_lengths, durations)
    assert together.shape == (2, T + 1, K + 1)
    for i, (n, m) in enumerate(zip(lengths, text_lengths)):
        alone = logits_of(
            network,
            *(x[i : i + 1, :k] for x, k in ((tokens, n), (text, m))),
            text_lengths[i : i + 1],
            durations[i : i + 1, :m],
        )
        scored = n + (not network.lay_text)
        torch.testing.assert_close(
            together[i, :scored], alone[0, :scored], atol=1e-4, rtol=1e-4
        )


@torch.no_grad()
def test_only_what_came_before_is_seen(network):
    tokens, _, text, text_lengths, durations = batch()
    before = logits_of(network, tokens, text, text_lengths, durations)
    changed = tokens.clone()
    changed[:, 4] = (changed[:, 4] + 1) % K
    after = logits_of(network, changed, text, text_lengths, durations)
    # Place t predicts token t: the changed token is an input from place 5 on.
    torch.testing.assert_close(after[:, :5], before[:, :5])
    assert (after[:, 5:] - before[:, 5:]).abs().amax(-1).min() > 1e-3
    other = text.clone()
    other[:, 0] = (other[:, 0] + 1) % 7
    assert not torch.allclose(
        logits_of(network, tokens, other, text_lengths, durations)[:, 0], before[:, 0]
    )


@torch.no_grad()
def test_the_frame_to_predict_carries_its_own_text():
    """The last symbol's text reaches the place that predicts its first frame."""
    network = make(**KINDS["laid"])
    network.text_encoder.symbol_blocks = network.text_encoder.text_blocks = (
        torch.nn.ModuleList()
    )
    tokens, _, text, text_lengths, durations = batch()
    other = text.clone()
    other[0, -1] = (other[0, -1] + 1) % 7
    change = logits_of(network, tokens, text, text_lengths, durations)
    change = change - logits_of(network, tokens, other, text_lengths, durations)
    seen = change[0].abs().amax(-1) > 1e-5
    assert seen.tolist() == [False] * 7 + [True] * 3


@torch.no_grad()
@pytest.mark.parametrize("prompted", [False, True])
def test_cached_is_as_uncached(network, prompted):
    """What is generated greedily is the most likely token of the whole pass."""
    tokens, lengths, text, text_lengths, durations = batch()
    prompts = [tokens[0, :3], tokens[1, :1]] if prompted else [None, None]
    given = [3, 1] if prompted else [0, 0]
    limits = [(n - p, n - p) for n, p in zip(lengths.tolist(), given)]
    seen, logits = [], network.logits
    # A copy is kept: where the end is forbidden, it is struck out in place.
    network.logits = lambda x: seen.append(logits(x)) or seen[-1].clone()
    said = generate(
        network,
        [ids[:n] for ids, n in zip(text, text_lengths)],
        limits,
        [d[:n] for d, n in zip(durations, text_lengths)],
        prompts,
        sampling=LMSampling(temperature=0.0),
    )
    network.logits = logits
    assert [len(s.tokens) for s in said] == [n for n, _ in limits]
    assert all(s.stopped for s in said)
    for i, (one, p) in enumerate(zip(said, given)):
        m = text_lengths[i]
        whole = torch.cat([tokens[i, :p], one.tokens]).unsqueeze(0)
        uncached = logits_of(
            network, whole, text[i : i + 1, :m], m.view(1), durations[i : i + 1, :m]
        )[0, p:-1]
        # The second utterance is the shorter one and leaves the batch first.
        cached = torch.stack([x[i] for x in seen[: len(one.tokens)]])
        torch.testing.assert_close(cached, uncached, atol=1e-4, rtol=1e-4)
        assert torch.equal(uncached[:, :K].argmax(-1), one.tokens)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_batch_says_what_each_says_alone(network, temperature):
    tokens, lengths, text, text_lengths, durations = batch()
    texts = [ids[:n] for ids, n in zip(text, text_lengths)]
    laid = [d[:n] for d, n in zip(durations, text_lengths)]
    prompts = [tokens[0, :2], None]
    limits = [(7, 7), (6, 6)] if network.lay_text else [(2, 7), (3, 6)]
    sampling = LMSampling(temperature=temperature)
    together = generate(network, texts, limits, laid, prompts, [5, 6], sampling)
    for i, one in enumerate(together):
        (alone,) = generate(
            network, [texts[i]], [limits[i]], [laid[i]], [prompts[i]], [5 + i], sampling
        )
        assert torch.equal(one.tokens, alone.tokens) and one.stopped == alone.stopped
    again = generate(network, texts, limits, laid, prompts, [7, 8], sampling)
    differ = [not torch.equal(a.tokens, b.tokens) for a, b in zip(together, again)]
    assert any(differ) == (temperature > 0)


def test_half_precision_says_nearly_the_same(network):
    tokens, lengths, text, text_lengths, durations = batch()
    texts = [ids[:n] for ids, n in zip(text, text_lengths)]
    laid = [d[:n] for d, n in zip(durations, text_lengths)]
    limits = [(n, n) for n in lengths.tolist()]
    seen, logits = {"float32": [], "bfloat16": []}, network.logits
    for precision, found in seen.items():
        network.logits = lambda x: found.append(logits(x)) or found[-1].clone()
        sampling = LMSampling(temperature=0.0, precision=precision)
        said = generate(network, texts, limits, laid, sampling=sampling)
        assert [len(s.tokens) for s in said] == lengths.tolist()
    half, whole = seen["bfloat16"][0], seen["float32"][0]
    assert half.dtype == torch.bfloat16
    error = (half.float() - whole).norm() / whole.norm()
    assert 0 < error < 0.1


@pytest.mark.parametrize("bias, length, stopped", [(50.0, 4, True), (-50.0, 9, False)])
def test_the_end_comes_neither_too_early_nor_never(bias, length, stopped):
    network = make()
    torch.nn.init.constant_(network.stop.bias, bias)
    texts = [torch.tensor([1, 2, 3]), torch.tensor([4, 5])]
    for one in generate(network, texts, [(4, 9)] * 2):
        assert (len(one.tokens), one.stopped) == (length, stopped)
        assert 0 <= one.tokens.min() and one.tokens.max() < K
    # A fixed length is kept whatever the model thinks.
    for one in generate(network, texts, [(6, 6)] * 2):
        assert (len(one.tokens), one.stopped) == (6, True)


@pytest.mark.parametrize(
    "kind, limits, durations, message",
    [
        ("prefix", (0, 4), None, "^utterance 0: lengths of 0 to 4 tokens"),
        ("prefix", (5, 4), None, "^utterance 0: lengths of 5 to 4 tokens"),
        ("laid", (4, 4), None, "give durations"),
        ("laid", (4, 4), [2, 3], "^utterance 0: its durations make 5 frames"),
        ("laid", (3, 5), [2, 3], "^utterance 0: .* and 3 to 5 tokens were asked for"),
    ],
)
def test_lengths_that_do_not_fit(kind, limits, durations, message):
    laid = None if durations is None else [torch.tensor(durations)]
    with pytest.raises(InputError, match=message):
        generate(make(**KINDS[kind]), [torch.tensor([1, 2])], [limits], laid)


def test_an_embedding_is_needed():
    with pytest.raises(InputError, match="set table or points"):
        make(table=False)


@torch.no_grad()
def test_loss_is_that_of_real_tokens_and_the_end(network):
    tokens, lengths, text, text_lengths, durations = batch()
    rest = (lengths, text, text_lengths, durations)
    loss, stats = LMLoss(max_logits=4 * K)(network, tokens, *rest)
    log_p = logits_of(network, tokens, text, text_lengths, durations).log_softmax(-1)
    for i, n in enumerate(lengths.tolist()):
        terms = [-log_p[i, t, tokens[i, t]] for t in range(n)]
        right = [log_p[i, t].argmax() == tokens[i, t] for t in range(n)]
        if not network.lay_text:
            terms.append(-log_p[i, n, K])
            assert stats["stop_accuracy"][i] == (log_p[i, n].argmax() == K)
        torch.testing.assert_close(loss[i], sum(terms) / len(terms))
        torch.testing.assert_close(stats["accuracy"][i], sum(right) / n)
    assert ("stop_accuracy" in stats) != network.lay_text
    padded = tokens.clone()
    padded[1, 6:] = 5
    torch.testing.assert_close(LMLoss()(network, padded, *rest)[0], loss)


def test_every_parameter_is_trained_and_regularised(network):
    loss = LMLoss(label_smoothing=0.1, token_mask=0.5)
    plain, _ = LMLoss()(network, *batch())
    torch.testing.assert_close(loss(network, *batch())[0], plain)
    network.train()
    train, _ = loss(network, *batch())
    assert not torch.allclose(train, plain)
    train.mean().backward()
    assert [n for n, p in network.named_parameters() if p.grad is None] == []


def test_shares_out_of_range():
    with pytest.raises(InputError, match="token_mask is 1; give 0 to below 1"):
        LMLoss(token_mask=1)
