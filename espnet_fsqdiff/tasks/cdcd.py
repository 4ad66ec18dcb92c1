"""ESPnet task that trains the diffusion decoder."""

import argparse
import logging
from typing import Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np
import torch
from espnet2.torch_utils.device_funcs import force_gatherable
from espnet2.train.class_choices import ClassChoices
from espnet2.utils.get_default_kwargs import get_default_kwargs
from espnet2.utils.nested_dict_action import NestedDictAction
from espnet2.utils.types import str_or_none

from espnet_fsqdiff.codebook import CODEBOOKS, Codebook, build_codebook
from espnet_fsqdiff.codebook.fit import fit_tokenizer
from espnet_fsqdiff.diffusion import (
    EMA,
    SCHEDULES,
    CDCDLoss,
    CDCDNetwork,
    InformationCurve,
    Sampling,
    generate,
)
from espnet_fsqdiff.duration import load_duration, to_frames
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.nets.dit import DiT
from espnet_fsqdiff.nets.heads import HEADS
from espnet_fsqdiff.nets.precision import check_cpu_autocast, cpu_autocast
from espnet_fsqdiff.nets.text_encoder import TextEncoder
from espnet_fsqdiff.states import weights_beside
from espnet_fsqdiff.tasks.building import make_model, make_part
from espnet_fsqdiff.tasks.common import (
    AveragedModel,
    FollowedBuilder,
    Preprocessor,
    add_text_arguments,
    build_text_tokenizer,
    checked_tokens,
    read_config,
    token_list_of,
)
from espnet_fsqdiff.tasks.lazy import task_of
from espnet_fsqdiff.text.tokenizer import TextTokenizer
from espnet_fsqdiff.text_to_token import padded_batch

TEXT_EXPANSIONS = ("filler", "uniform", "duration", "alignment")

codebook_choices = ClassChoices("codebook", classes=CODEBOOKS, default="fsq")
text_encoder_choices = ClassChoices(
    "text_encoder", classes=dict(convnext=TextEncoder), default="convnext"
)
backbone_choices = ClassChoices("backbone", classes=dict(dit=DiT), default="dit")
head_choices = ClassChoices("head", classes=HEADS, default="joint")
schedule_choices = ClassChoices("schedule", classes=SCHEDULES, default="linear")
loss_choices = ClassChoices("loss", classes=dict(cdcd=CDCDLoss), default="cdcd")


class ESPnetCDCDModel(AveragedModel):
    """CDCD as ESPnet's trainer wants it.

    Training steps the network; validation and inference use its moving average,
    which is saved, resumed and averaged with it. Each has a codebook of its own.

    Args:
        network: Text encoder, backbone and head with its codebook.
        loss: Training loss.
        ema_decay: Of the moving average.
        cpu_autocast: Mixed precision on a CPU: auto, bfloat16 or off.
        valid_times: Times of validation; every utterance is scored at each, with
            noise of its own that never changes.
        valid_rollout_steps: Sampling steps with which validation samples every
            utterance at its true length; 0 for none.
        valid_guidance_scale: Guidance of that.
    """

    sampling_class = Sampling

    def __init__(
        self,
        network: CDCDNetwork,
        loss: CDCDLoss,
        ema_decay: float = 0.999,
        cpu_autocast: str = "auto",
        valid_times: Sequence[float] = (0.1, 0.3, 0.5, 0.7, 0.9),
        valid_rollout_steps: int = 0,
        valid_guidance_scale: float = 0.5,
    ):
        super().__init__()
        check_cpu_autocast(cpu_autocast)
        if loss.self_conditioning > 0 and not network.self_conditioning:
            raise InputError(
                "loss_conf: self_conditioning needs backbone_conf: self_conditioning"
            )
        self.network = network
        self.loss = loss
        self.ema = EMA(network, ema_decay)
        self.information = InformationCurve()
        self.cpu_autocast = cpu_autocast
        self.valid_times = tuple(valid_times)
        self.valid_rollout_steps = valid_rollout_steps
        self.valid_guidance_scale = valid_guidance_scale

    @property
    def codebook(self) -> Codebook:
        """Where the tokens live at inference."""
        return self.ema.network.codebook

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
        examples = (tokens, speech_token_lengths, text, text_lengths, durations)
        if self.training:
            loss, stats = self._train(*examples)
        else:
            names = utt_id or [str(i) for i in range(len(tokens))]
            loss, stats = self._validate(names, *examples)
        stats = {"loss": loss.detach(), **stats}
        return force_gatherable((loss, stats, len(tokens)), loss.device)

    def _train(self, tokens, lengths, *text):
        warp = None
        if self.loss.time_sampling == "information" and self.information.known():
            warp = self.information.warp
        draw = self.loss.draw(lengths, tokens.size(1), self.codebook.dim, warp)
        losses, stats = self._score(self.network, tokens, lengths, *text, draw)
        self.information.update(draw.t[~draw.drop], losses.detach()[~draw.drop])
        return losses.mean(), {"accuracy": stats["accuracy"].mean()}

    def _validate(self, names, tokens, lengths, *text):
        """Cross-entropy and accuracy by t, and the accuracy of the rollout."""
        losses, accuracies, stats = [], [], {}
        for time in self.valid_times:
            draw = self.loss.fixed_draw(
                names, lengths, tokens.size(1), self.codebook.dim, time
            )
            loss, score = self._score(self.ema.network, tokens, lengths, *text, draw)
            losses.append(loss.mean())
            accuracies.append(score["accuracy"].mean())
            stats[f"loss_t{time:g}"] = losses[-1].detach()
            stats[f"accuracy_t{time:g}"] = accuracies[-1]
        stats["accuracy"] = torch.stack(accuracies).mean()
        if self.valid_rollout_steps > 0:
            sampling = Sampling(
                num_steps=self.valid_rollout_steps,
                guidance_scale=self.valid_guidance_scale,
            )
            stats["rollout_accuracy"] = self.rollout_accuracy(
                names, tokens, lengths, *text, sampling
            )
        return torch.stack(losses).mean(), stats

    def _score(self, network, tokens, *rest):
        with cpu_autocast(tokens.device, self.cpu_autocast):
            return self.loss(network, network.codebook, tokens, *rest)

    @property
    def max_frames(self) -> int:
        return self.ema.network.max_frames

    @property
    def takes_prompts(self) -> bool:
        return self.loss.prompt_prob > 0

    @torch.no_grad()
    def log_likelihood(self, text, tokens, durations=None) -> List[float]:
        """Minus the cross-entropy at `valid_times`, under noise that is the same for
        utterances of one length; in float32, as speech is made, whatever
        `cpu_autocast` says of training."""
        names = ["take"] * len(tokens)
        batch = padded_batch(text, tokens, durations, self.device)
        none = torch.zeros(len(tokens), dtype=torch.int64, device=batch[1].device)
        total = 0.0
        for time in self.valid_times:
            draw = self.loss.fixed_draw(
                names, batch[1], batch[0].size(1), self.codebook.dim, time
            )._replace(prompt_lengths=none)
            total = total - self.loss(self.ema.network, self.codebook, *batch, draw)[0]
        return (total / len(self.valid_times)).tolist()

    def compile_network(self) -> None:
        self.ema.network.compile_backbone()

    def generate(
        self, text, num_frames, durations=None, sampling=Sampling(), **options
    ) -> List[torch.Tensor]:
        """Sample tokens with the moving average; see `diffusion.generate`."""
        times = None
        if sampling.time_grid == "information":
            times = self.information.times(sampling.num_steps)
        return generate(
            self.ema.network,
            self.codebook,
            self.loss.schedule,
            text,
            num_frames,
            durations,
            sampling=sampling,
            times=times,
            **options,
        )


class TokenPreprocessor(Preprocessor):
    """Text to ids, tokens checked, and text laid over the tokens.

    Args:
        text_tokenizer: Turns text into symbol ids.
        num_codes: Codebook size K.
        expansion: `filler`, `uniform`, `duration` or `alignment`.
        duration_file: Duration model, for `duration`.
    """

    def __init__(
        self,
        text_tokenizer: TextTokenizer,
        num_codes: int,
        expansion: str,
        duration_file: Optional[str] = None,
    ):
        super().__init__(text_tokenizer)
        if expansion not in TEXT_EXPANSIONS:
            raise InputError(
                f"text_expansion {expansion!r} is unknown; "
                f"choose one of {', '.join(TEXT_EXPANSIONS)}"
            )
        self.num_codes = num_codes
        self.expansion = expansion
        self.duration = None
        if expansion == "duration":
            if duration_file is None:
                raise InputError(
                    "text_expansion: duration needs --duration_file; "
                    "make it in the duration stage"
                )
            self.duration = load_duration(duration_file)

    def __call__(self, uid: str, data: dict) -> Dict[str, np.ndarray]:
        data = super().__call__(uid, data)
        tokens = checked_tokens(uid, data["speech_token"], self.num_codes)
        data["speech_token"] = tokens
        given = data.pop("durations", None)
        if self.expansion != "filler":
            data["durations"] = self._durations(uid, data["text"], tokens.size, given)
        elif len(data["text"]) > tokens.size:
            raise InputError(
                f"{uid}: its text of {len(data['text'])} symbols is longer than its "
                f"{tokens.size} tokens can hold; drop it in the filter stage"
            )
        return data

    def _durations(self, uid, ids, frames, given) -> np.ndarray:
        if self.expansion == "alignment":
            if given is None:
                raise InputError(
                    "text_expansion: alignment needs durations.txt; train a "
                    "tokenizer with ctc_weight > 0 and extract the tokens with it"
                )
            fits = len(given) == len(ids) and given.sum() == frames
            if not fits or given.min() < 0:
                raise InputError(
                    f"{uid}: its durations do not fit its text and tokens; "
                    "extract the tokens again"
                )
            return given.astype(np.int64)
        if self.expansion == "duration":
            weights = self.duration.predict(ids)
        else:
            weights = np.ones(len(ids))
        try:
            return to_frames(weights, total=frames)
        except InputError as e:
            raise InputError(f"{uid}: {e}") from None


class CDCDBuilder(FollowedBuilder):
    """Text -> speech tokens by continuous diffusion for categorical data."""

    num_optimizers = 1
    class_choices_list = [
        codebook_choices,
        text_encoder_choices,
        backbone_choices,
        head_choices,
        schedule_choices,
        loss_choices,
    ]
    model_class = ESPnetCDCDModel
    text_expansions = TEXT_EXPANSIONS  # the first is the default

    @classmethod
    def add_task_arguments(cls, parser: argparse.ArgumentParser) -> None:
        group = parser.add_argument_group("Task related")
        group.add_argument(
            "--tokenizer_config",
            type=str_or_none,
            help="config.yaml of the speech tokenizer, which has to fit the codebook; "
            "codebook rvq takes its points from the weights beside it",
        )
        group.add_argument(
            "--text_expansion",
            default=cls.text_expansions[0],
            choices=cls.text_expansions,
            help="How text is laid over the speech: not at all, evenly (uniform), "
            "by the duration model, or by the tokenizer's CTC alignment",
        )
        group.add_argument(
            "--duration_file",
            type=str_or_none,
            help="duration.yaml of the duration stage, for text_expansion: duration",
        )
        group.add_argument(
            "--model_conf",
            action=NestedDictAction,
            default=get_default_kwargs(cls.model_class),
            help="Keyword arguments of the ESPnet model",
        )
        group = parser.add_argument_group("Preprocess related")
        add_text_arguments(group)
        for class_choices in cls.class_choices_list:
            class_choices.add_arguments(group)

    @classmethod
    def build_preprocess_fn(
        cls, args: argparse.Namespace, train: bool
    ) -> Optional[Callable]:
        if not args.use_preprocessor:
            return None
        codebook = build_codebook(args.codebook, **args.codebook_conf)
        # Shapes do not depend on how the text is laid out.
        expansion = "filler" if args.collect_stats else args.text_expansion
        return TokenPreprocessor(
            build_text_tokenizer(args),
            codebook.num_codes,
            expansion,
            args.duration_file,
        )

    @classmethod
    def required_data_names(
        cls, train: bool = True, inference: bool = False
    ) -> Tuple[str, ...]:
        return ("text",) if inference else ("text", "speech_token")

    @classmethod
    def optional_data_names(
        cls, train: bool = True, inference: bool = False
    ) -> Tuple[str, ...]:
        return ("durations",)

    @classmethod
    def build_model(cls, args: argparse.Namespace) -> ESPnetCDCDModel:
        args.token_list = token_list_of(args)
        codebook = cls.build_codebook(args)
        text_encoder = make_part(
            text_encoder_choices, args, vocab_size=len(args.token_list)
        )
        backbone = make_part(
            backbone_choices, args, latent_dim=codebook.dim, text_dim=text_encoder.dim
        )
        head = make_part(
            head_choices, args, dim=backbone.output_size(), codebook=codebook
        )
        schedule = make_part(schedule_choices, args)
        loss = make_part(loss_choices, args, schedule=schedule)
        logging.info(f"{len(args.token_list)} symbols, {codebook.num_codes} codes")
        network = CDCDNetwork(text_encoder, backbone, head)
        return make_model(ESPnetCDCDModel, args, network, loss)

    @classmethod
    def build_codebook(cls, args: argparse.Namespace) -> Codebook:
        """The codebook; refuses a tokenizer whose tokens are not points of it."""
        if args.tokenizer_config is not None:
            conf, weights = args.codebook_conf, None
            if args.codebook == "rvq" and "tokenizer_file" not in conf:
                weights = weights_beside(args.tokenizer_config)
            tokenizer = read_config(args.tokenizer_config)
            args.codebook_conf = fit_tokenizer(args.codebook, conf, tokenizer, weights)
        codebook = build_codebook(args.codebook, **args.codebook_conf)
        # The saved configuration stands alone.
        args.tokenizer_config = None
        if "tokenizer_file" in args.codebook_conf:
            args.codebook_conf = {**args.codebook_conf, "tokenizer_file": None}
        return codebook


__getattr__ = task_of(__name__, "CDCDTask", CDCDBuilder)
