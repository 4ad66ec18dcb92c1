"""ESPnet task that trains the language model of speech tokens."""

import argparse
import logging
from typing import Callable, Dict, List, Optional, Sequence, Tuple

import torch
from espnet2.torch_utils.device_funcs import force_gatherable
from espnet2.train.class_choices import ClassChoices
from espnet2.utils.get_default_kwargs import get_default_kwargs
from espnet2.utils.nested_dict_action import NestedDictAction

from espnet_fsqdiff.codebook import Codebook
from espnet_fsqdiff.diffusion import EMA
from espnet_fsqdiff.lm import LMLoss, LMSampling, Qwen2Decoder, TokenLM, generate
from espnet_fsqdiff.nets.heads import JointHead, PairwiseHead
from espnet_fsqdiff.nets.precision import check_cpu_autocast, cpu_autocast
from espnet_fsqdiff.option_types import check_options
from espnet_fsqdiff.tasks.building import make_model, make_part
from espnet_fsqdiff.tasks.cdcd import (
    CDCDBuilder,
    codebook_choices,
    text_encoder_choices,
)
from espnet_fsqdiff.tasks.common import AveragedModel, token_list_of
from espnet_fsqdiff.tasks.lazy import task_of
from espnet_fsqdiff.text_to_token import Spoken, padded_batch

lm_choices = ClassChoices("lm", classes=dict(qwen2=Qwen2Decoder), default="qwen2")
# Tokens are drawn from one distribution: no factorized head.
head_choices = ClassChoices(
    "head", classes=dict(joint=JointHead, pairwise=PairwiseHead), default="joint"
)
loss_choices = ClassChoices("loss", classes=dict(lm=LMLoss), default="lm")


class ESPnetTokenLMModel(AveragedModel):
    """The language model as ESPnet's trainer wants it.

    Training steps the network; validation and inference use its moving average,
    which is saved, resumed and averaged with it.

    Args:
        network: Text encoder, backbone and head.
        codebook: Of the tokens.
        loss: Training loss.
        ema_decay: Of the moving average.
        cpu_autocast: Mixed precision on a CPU: auto, bfloat16 or off.
        valid_rollout: Whether validation also speaks every utterance at its true
            length, taking the most likely tokens, and counts the right ones.
    """

    sampling_class = LMSampling

    def __init__(
        self,
        network: TokenLM,
        codebook: Codebook,
        loss: LMLoss,
        ema_decay: float = 0.999,
        cpu_autocast: str = "auto",
        valid_rollout: bool = False,
    ):
        super().__init__()
        check_cpu_autocast(cpu_autocast)
        self.network = network
        self.codebook = codebook
        self.loss = loss
        self.ema = EMA(network, ema_decay)
        self.cpu_autocast = cpu_autocast
        self.valid_rollout = valid_rollout

    def forward(
        self,
        text: torch.Tensor,
        text_lengths: torch.Tensor,
        speech_token: torch.Tensor,
        speech_token_lengths: torch.Tensor,
        durations: Optional[torch.Tensor] = None,
        durations_lengths: Optional[torch.Tensor] = None,
        utt_id: Optional[List[str]] = None,
        **kwargs,
    ) -> Tuple[torch.Tensor, Dict[str, torch.Tensor], torch.Tensor]:
        """Symbol ids (B, S) and tokens (B, T) to loss, statistics and weight."""
        tokens = speech_token.long()
        batch = (tokens, speech_token_lengths, text, text_lengths, durations)
        network = self.network if self.training else self.ema.network
        with cpu_autocast(tokens.device, self.cpu_autocast):
            losses, stats = self.loss(network, *batch)
        loss = losses.mean()
        stats = {key: value.mean() for key, value in stats.items()}
        stats.update(loss=loss.detach(), perplexity=loss.detach().exp())
        if self.valid_rollout and not self.training:
            names = utt_id or [str(i) for i in range(len(tokens))]
            greedy = LMSampling(temperature=0.0)
            stats["rollout_accuracy"] = self.rollout_accuracy(names, *batch, greedy)
        return force_gatherable((loss, stats, len(tokens)), loss.device)

    @property
    def max_frames(self) -> int:
        return self.network.max_frames

    def generate(
        self,
        text,
        num_frames,
        durations=None,
        seeds=None,
        sampling=LMSampling(),
        prompts=None,
    ) -> List[torch.Tensor]:
        """Sample with the moving average; `num_frames` include the prompts' tokens."""
        given = prompt_sizes(prompts, len(text))
        limits = [(n - p, n - p) for n, p in zip(num_frames, given)]
        return [
            said.tokens
            for said in generate(
                self.ema.network, text, limits, durations, prompts, seeds, sampling
            )
        ]

    @property
    def takes_prompts(self) -> bool:
        return True  # every utterance it was trained on goes on from its beginning

    @torch.no_grad()
    def log_likelihood(self, text, tokens, durations=None) -> List[float]:
        """Of each token after those before it."""
        network = self.ema.network
        batch = padded_batch(text, tokens, durations, self.device)
        return (-self.loss(network, *batch)[0]).tolist()

    def speak(
        self,
        text,
        num_frames,
        durations=None,
        seeds=None,
        sampling=LMSampling(),
        prompts=None,
    ) -> List[Spoken]:
        """Sample with the moving average until the model stops."""
        if self.network.lay_text:
            return super().speak(
                text, num_frames, durations, seeds, sampling, prompts=prompts
            )
        given = prompt_sizes(prompts, len(text))
        limits = [
            sampling.limits(n - p, self.max_frames - p)
            for n, p in zip(num_frames, given)
        ]
        said = generate(
            self.ema.network,
            text,
            limits,
            prompts=prompts,
            seeds=seeds,
            sampling=sampling,
        )
        return [Spoken(tokens, stopped) for tokens, stopped in said]


def prompt_sizes(
    prompts: Optional[Sequence[Optional[torch.Tensor]]], size: int
) -> List[int]:
    """Tokens of each utterance's prompt, 0 without one."""
    return [0 if p is None else len(p) for p in prompts or [None] * size]


class TokenLMBuilder(CDCDBuilder):
    """Text -> speech tokens by a language model.

    Data, text, codebook and optimizer are those of the diffusion task; the model
    is another.
    """

    class_choices_list = [
        codebook_choices,
        text_encoder_choices,
        lm_choices,
        head_choices,
        loss_choices,
    ]
    model_class = ESPnetTokenLMModel
    text_expansions = ("prefix", "uniform", "duration", "alignment")

    @classmethod
    def add_task_arguments(cls, parser: argparse.ArgumentParser) -> None:
        super().add_task_arguments(parser)
        group = parser.add_argument_group("Language model related")
        group.add_argument(
            "--network_conf",
            action=NestedDictAction,
            default=get_default_kwargs(TokenLM),
            help="Keyword arguments of the network around text encoder and backbone",
        )

    @classmethod
    def build_preprocess_fn(
        cls, args: argparse.Namespace, train: bool
    ) -> Optional[Callable]:
        options = vars(args)
        if args.text_expansion == "prefix":  # like the filler: no durations
            options = {**options, "text_expansion": "filler"}
        return super().build_preprocess_fn(argparse.Namespace(**options), train)

    @classmethod
    def build_model(cls, args: argparse.Namespace) -> ESPnetTokenLMModel:
        args.token_list = token_list_of(args)
        codebook = cls.build_codebook(args)
        text_encoder = make_part(
            text_encoder_choices, args, vocab_size=len(args.token_list)
        )
        backbone = make_part(lm_choices, args)
        head = make_part(head_choices, args, dim=backbone.dim, codebook=codebook)
        network = TokenLM(
            codebook,
            text_encoder,
            backbone,
            head,
            lay_text=args.text_expansion != "prefix",
            **check_options("network_conf", TokenLM, args.network_conf),
        )
        loss = make_part(loss_choices, args)
        logging.info(f"{len(args.token_list)} symbols, {codebook.num_codes} codes")
        return make_model(ESPnetTokenLMModel, args, network, codebook, loss)


__getattr__ = task_of(__name__, "TokenLMTask", TokenLMBuilder)
