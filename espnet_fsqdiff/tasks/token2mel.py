"""ESPnet task that trains flow matching from speech tokens to mels."""

import argparse
import logging
from typing import Callable, Dict, List, Optional, Tuple

import numpy as np
import torch
from espnet2.torch_utils.device_funcs import force_gatherable
from espnet2.train.class_choices import ClassChoices
from espnet2.tts.feats_extract.log_mel_fbank import LogMelFbank
from espnet2.utils.get_default_kwargs import get_default_kwargs
from espnet2.utils.nested_dict_action import NestedDictAction
from espnet2.utils.types import int_or_none, str_or_none

from espnet_fsqdiff.codebook import build_codebook
from espnet_fsqdiff.diffusion import EMA
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.flow import (
    FlowMatchingLoss,
    FlowSampling,
    TokenEncoder,
    VelocityNetwork,
    generate,
)
from espnet_fsqdiff.flow.pairing import check_pair, pair, reflected
from espnet_fsqdiff.nets.adaptive_convnext import AdaptiveConvNeXt
from espnet_fsqdiff.nets.dit import DiT
from espnet_fsqdiff.nets.precision import check_cpu_autocast, cpu_autocast
from espnet_fsqdiff.tasks.building import make_model, make_part
from espnet_fsqdiff.tasks.cdcd import CDCDBuilder, codebook_choices
from espnet_fsqdiff.tasks.common import (
    FollowedBuilder,
    FollowedModel,
    check_speech,
    checked_tokens,
    read_config,
)
from espnet_fsqdiff.tasks.lazy import task_of
from espnet_fsqdiff.tasks.mels import (
    build_feats_extract,
    feats_extract_choices,
    frames_of_token,
    read_mel_stats,
)

token_encoder_choices = ClassChoices(
    "token_encoder", classes=dict(convnext=TokenEncoder), default="convnext"
)
backbone_choices = ClassChoices(
    "backbone", classes=dict(dit=DiT, convnext=AdaptiveConvNeXt), default="convnext"
)
loss_choices = ClassChoices("loss", classes=dict(flow=FlowMatchingLoss), default="flow")

# What a vocoder takes for granted, since `get_parameters` does not tell it.
USUAL_MEL = dict(center=True, normalized=False, onesided=True, htk=False, log_base=10.0)


class ESPnetToken2MelModel(FollowedModel):
    """Flow matching as ESPnet's trainer wants it.

    Training steps the network; validation and inference use its moving average,
    which is saved, resumed and averaged with it.

    Args:
        feats_extract: Wave (B, L), lengths -> log-mel (B, F, n_mels), lengths.
        network: Gives the velocity.
        loss: Training loss.
        ema_decay: Of the moving average.
        cpu_autocast: Mixed precision on a CPU: auto, bfloat16 or off.
        valid_times: Times at which validation scores every utterance, one in each of
            as many equal shares of the training's times.
    """

    def __init__(
        self,
        feats_extract: LogMelFbank,
        network: VelocityNetwork,
        loss: FlowMatchingLoss,
        ema_decay: float = 0.999,
        cpu_autocast: str = "auto",
        valid_times: int = 4,
    ):
        super().__init__()
        check_cpu_autocast(cpu_autocast)
        self.feats_extract = feats_extract
        self.network = network
        self.loss = loss
        self.ema = EMA(network, ema_decay)
        self.cpu_autocast = cpu_autocast
        self.valid_times = valid_times

    def forward(
        self,
        speech: torch.Tensor,
        speech_lengths: torch.Tensor,
        speech_token: torch.Tensor,
        speech_token_lengths: torch.Tensor,
        spk_embed: Optional[torch.Tensor] = None,
        utt_id: Optional[List[str]] = None,
        **kwargs,
    ) -> Tuple[torch.Tensor, Dict[str, torch.Tensor], torch.Tensor]:
        """Waves (B, L) and their tokens (B, T) to loss, statistics and weight."""
        network = self.network if self.training else self.ema.network
        feats, feats_lengths = self._mel(speech, speech_lengths)
        mel = pair(
            network.standardise(feats),
            feats_lengths,
            speech_token_lengths,
            network.frames_per_token,
        )
        lengths = speech_token_lengths * network.frames_per_token
        shape = (lengths, *mel.shape[1:])
        if self.training:
            draws = [self.loss.draw(*shape)]
        else:
            names = utt_id or [str(i) for i in range(len(speech))]
            n = self.valid_times
            draws = [self.loss.fixed_draw(names, *shape, i, n) for i in range(n)]
        example = (mel, speech_token.long(), speech_token_lengths, spk_embed)
        with cpu_autocast(speech.device, self.cpu_autocast):
            losses = [self.loss(network, *example, draw).mean() for draw in draws]
        loss = torch.stack(losses).mean()
        stats = {"loss": loss.detach()}
        return force_gatherable((loss, stats, len(speech)), loss.device)

    def collect_feats(
        self, speech: torch.Tensor, speech_lengths: torch.Tensor, **batch
    ) -> Dict[str, torch.Tensor]:
        """Log-mels whose mean and spread the statistics stage sums up."""
        feats, feats_lengths = self._mel(speech, speech_lengths)
        return {"feats": feats, "feats_lengths": feats_lengths}

    @torch.no_grad()
    def _mel(self, speech, speech_lengths) -> Tuple[torch.Tensor, torch.Tensor]:
        """Waves to log-mels (B, F, n_mels), each as alone, and their frames (B,)."""
        speech = reflected(speech, speech_lengths, self.feats_extract.n_fft // 2)
        with torch.autocast(speech.device.type, enabled=False):
            return self.feats_extract(speech.float(), speech_lengths)

    def generate(
        self,
        tokens,
        prompts=None,
        spk_embed=None,
        seeds=None,
        sampling: FlowSampling = FlowSampling(),
    ) -> List[torch.Tensor]:
        """Sample log-mels with the moving average; see `flow.generate`.

        Raises:
            InputError: If there is a prompt and the model was trained without.
        """
        if self.loss.prompt_prob == 0 and any(p is not None for p in prompts or []):
            raise InputError(
                "this model was trained without prompt mels; leave them out, or train "
                "with loss_conf: prompt_prob above 0"
            )
        return generate(
            self.ema.network,
            tokens,
            prompts,
            spk_embed,
            seeds,
            sampling,
            self.loss.sigma_min,
        )


class Token2MelPreprocessor:
    """Audio, tokens and speaker embedding of an utterance, checked.

    Args:
        num_codes: Codebook size K.
        frames_per_token: Mel frames of a token.
        fs: Sampling rate in Hz.
        hop: Samples from one mel frame to the next.
        spk_embed_dim: Size of the speaker embedding; None for none.
    """

    def __init__(
        self,
        num_codes: int,
        frames_per_token: int,
        fs: int,
        hop: int,
        spk_embed_dim: Optional[int] = None,
    ):
        self.num_codes = num_codes
        self.frames_per_token = frames_per_token
        self.fs = fs
        self.hop = hop
        self.spk_embed_dim = spk_embed_dim

    def __call__(self, uid: str, data: dict) -> Dict[str, np.ndarray]:
        """One utterance from ESPnet's dataset, by name of its entries.

        Raises:
            InputError: If its audio is not mono or not finite, its tokens are not in
                the codebook, the two do not belong together or are of another
                sampling rate, or its speaker embedding is missing, not wanted or of
                another size.
        """
        data = dict(data)
        check_speech(uid, data["speech"])
        tokens = checked_tokens(uid, data["speech_token"], self.num_codes)
        check_pair(
            uid,
            len(data["speech"]),
            len(tokens),
            self.fs,
            self.hop,
            self.frames_per_token,
        )
        data["speech_token"] = tokens
        shape = data["spk_embed"].shape if "spk_embed" in data else None
        wanted = None if self.spk_embed_dim is None else (self.spk_embed_dim,)
        if shape != wanted:
            raise InputError(
                f"{uid}: its speaker embedding has shape {shape}, the model takes "
                f"{wanted}; mend the data spk_embed or set spk_embed_dim"
            )
        return data


class Token2MelBuilder(FollowedBuilder):
    """Speech tokens -> log-mel by optimal-transport conditional flow matching."""

    num_optimizers = 1
    class_choices_list = [
        feats_extract_choices,
        codebook_choices,
        token_encoder_choices,
        backbone_choices,
        loss_choices,
    ]

    @classmethod
    def add_task_arguments(cls, parser: argparse.ArgumentParser) -> None:
        group = parser.add_argument_group("Task related")
        group.add_argument(
            "--token_rate", type=float, default=25.0, help="Speech tokens a second"
        )
        group.add_argument(
            "--tokenizer_config",
            type=str_or_none,
            help="config.yaml of the speech tokenizer, which has to fit codebook and "
            "token rate",
        )
        group.add_argument(
            "--mel_stats_file",
            type=str_or_none,
            help="feats_stats.npz of the statistics stage; kept in the model",
        )
        group.add_argument(
            "--spk_embed_dim",
            type=int_or_none,
            help="Size of the speaker embeddings (data spk_embed); null for none",
        )
        group.add_argument(
            "--model_conf",
            action=NestedDictAction,
            default=get_default_kwargs(ESPnetToken2MelModel),
            help="Keyword arguments of the ESPnet model",
        )
        for class_choices in cls.class_choices_list:
            class_choices.add_arguments(group)

    @classmethod
    def build_preprocess_fn(cls, args: argparse.Namespace, train: bool) -> Callable:
        feats_extract, frames = cls.build_feats_extract(args)
        parameters = feats_extract.get_parameters()
        return Token2MelPreprocessor(
            build_codebook(args.codebook, **args.codebook_conf).num_codes,
            frames,
            parameters["fs"],
            parameters["n_shift"],
            args.spk_embed_dim,
        )

    @classmethod
    def required_data_names(
        cls, train: bool = True, inference: bool = False
    ) -> Tuple[str, ...]:
        return ("speech_token",) if inference else ("speech", "speech_token")

    @classmethod
    def optional_data_names(
        cls, train: bool = True, inference: bool = False
    ) -> Tuple[str, ...]:
        return ("spk_embed",)

    @classmethod
    def build_feats_extract(cls, args: argparse.Namespace) -> Tuple[LogMelFbank, int]:
        """What makes the mels, and how many of their frames a token has.

        Raises:
            InputError: If that is no whole number, or no vocoder could tell what the
                mels are.
        """
        for name, usual in USUAL_MEL.items():
            value = args.feats_extract_conf.get(name, usual)
            if value != usual:
                raise InputError(
                    f"feats_extract_conf: {name} is {value}; vocoders take {usual} for "
                    "granted: leave it out"
                )
        feats_extract = build_feats_extract(args)
        parameters = feats_extract.get_parameters()
        return feats_extract, frames_of_token(parameters, args.token_rate)

    @classmethod
    def build_model(cls, args: argparse.Namespace) -> ESPnetToken2MelModel:
        feats_extract, frames_per_token = cls.build_feats_extract(args)
        if args.tokenizer_config is not None:
            rate = read_config(args.tokenizer_config).get("token_rate", args.token_rate)
            if rate != args.token_rate:
                raise InputError(
                    f"the tokenizer makes {rate:g} tokens a second, the model takes "
                    f"{args.token_rate:g}; set token_rate"
                )
        codebook = CDCDBuilder.build_codebook(args)
        token_encoder = make_part(
            token_encoder_choices,
            args,
            codebook=codebook,
            frames_per_token=frames_per_token,
        )
        n_mels = feats_extract.output_size()
        backbone = make_part(
            backbone_choices, args, latent_dim=n_mels, text_dim=token_encoder.dim
        )
        network = VelocityNetwork(token_encoder, backbone, n_mels, args.spk_embed_dim)
        if args.mel_stats_file is not None:
            network.set_mel_statistics(*read_mel_stats(args.mel_stats_file))
            # The saved configuration stands alone.
            args.mel_stats_file = None
        loss = make_part(loss_choices, args)
        logging.info(
            f"{codebook.num_codes} codes at {args.token_rate:g} Hz, {frames_per_token} "
            "mel frames each"
        )
        return make_model(ESPnetToken2MelModel, args, feats_extract, network, loss)


__getattr__ = task_of(__name__, "Token2MelTask", Token2MelBuilder)
