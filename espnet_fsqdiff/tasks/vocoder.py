"""ESPnet task that trains a vocoder as a GAN."""

import argparse
import logging
from typing import Callable, Dict, List, Optional, Tuple

import numpy as np
import torch
from espnet2.train.class_choices import ClassChoices
from espnet2.utils.get_default_kwargs import get_default_kwargs
from espnet2.utils.nested_dict_action import NestedDictAction
from espnet2.utils.types import str2bool

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.tasks.building import make_model, make_part
from espnet_fsqdiff.tasks.common import Preprocessor
from espnet_fsqdiff.tasks.lazy import task_of
from espnet_fsqdiff.vocoder.discriminators import Discriminators
from espnet_fsqdiff.vocoder.generator import Generator
from espnet_fsqdiff.vocoder.hifigan import HiFiGANGenerator
from espnet_fsqdiff.vocoder.istft import ISTFTGenerator
from espnet_fsqdiff.vocoder.loss import VocoderLoss
from espnet_fsqdiff.vocoder.mel import WaveMel
from espnet_fsqdiff.vocoder.model import ESPnetVocoderModel

feats_extract_choices = ClassChoices(
    "feats_extract", classes=dict(log_mel_fbank=WaveMel), default="log_mel_fbank"
)
generator_choices = ClassChoices(
    "generator",
    classes=dict(istft=ISTFTGenerator, hifigan=HiFiGANGenerator),
    default="istft",
)
discriminator_choices = ClassChoices(
    "discriminator", classes=dict(multi=Discriminators), default="multi"
)
criterion_choices = ClassChoices(
    "criterion", classes=dict(hifigan=VocoderLoss), default="hifigan"
)
# Seconds that a given mel may end before or after its wave: a speech token.
MAX_OVERHANG = 0.04


class VocoderPreprocessor(Preprocessor):
    """Checks waves, and whether mels that are given belong to them.

    Args:
        mel: What the mels are (`LogMelFbank.get_parameters()`).
    """

    def __init__(self, mel: Dict):
        super().__init__()
        self.mel = mel

    def __call__(self, uid: str, data: dict) -> Dict[str, np.ndarray]:
        data = super().__call__(uid, data)
        feats, bins = data.get("feats"), self.mel["n_mels"]
        if feats is None:
            return data
        if feats.ndim != 2 or feats.shape[1] != bins:
            raise InputError(
                f"{uid}: its given mel has the shape {feats.shape}, not "
                f"(frames, {bins})"
            )
        if not np.isfinite(feats).all():
            raise InputError(f"{uid}: its given mel is not finite; generate it again")
        made, length = len(feats) * self.mel["n_shift"], len(data["speech"])
        if abs(made - length) > max(MAX_OVERHANG * self.mel["fs"], self.mel["n_shift"]):
            raise InputError(
                f"{uid}: its given mel of {len(feats)} frames is {made} samples long, "
                f"its wave {length}; generate the mels again from these waves"
            )
        return data


class GeneratorBuilder:
    """Builds the generator alone, for inference."""

    @classmethod
    def build_model(cls, args: argparse.Namespace) -> Generator:
        feats_extract = VocoderBuilder.build_feats_extract(args)
        return VocoderBuilder.build_generator(args, feats_extract)


class VocoderBuilder:
    """Log-mel -> wave, trained against discriminators."""

    num_optimizers = 2
    class_choices_list = [
        feats_extract_choices,
        generator_choices,
        discriminator_choices,
        criterion_choices,
    ]

    @classmethod
    def add_task_arguments(cls, parser: argparse.ArgumentParser) -> None:
        group = parser.add_argument_group("Task related")
        group.add_argument(
            "--model_conf",
            action=NestedDictAction,
            default=get_default_kwargs(ESPnetVocoderModel),
            help="Keyword arguments of the ESPnet model",
        )
        group = parser.add_argument_group("Preprocess related")
        group.add_argument("--use_preprocessor", type=str2bool, default=True)
        for class_choices in cls.class_choices_list:
            class_choices.add_arguments(group)

    @classmethod
    def build_collate_fn(cls, args: argparse.Namespace, train: bool) -> Callable:
        from espnet2.train.collate_fn import CommonCollateFn

        return CommonCollateFn(float_pad_value=0.0, int_pad_value=0)

    @classmethod
    def build_preprocess_fn(
        cls, args: argparse.Namespace, train: bool
    ) -> Optional[Callable]:
        if not args.use_preprocessor:
            return None
        return VocoderPreprocessor(cls.build_feats_extract(args).get_parameters())

    @classmethod
    def required_data_names(
        cls, train: bool = True, inference: bool = False
    ) -> Tuple[str, ...]:
        return ("feats",) if inference else ("speech",)

    @classmethod
    def optional_data_names(
        cls, train: bool = True, inference: bool = False
    ) -> Tuple[str, ...]:
        return () if inference else ("feats",)

    @classmethod
    def build_feats_extract(cls, args: argparse.Namespace) -> WaveMel:
        return make_part(feats_extract_choices, args)

    @classmethod
    def build_generator(
        cls, args: argparse.Namespace, feats_extract: WaveMel
    ) -> Generator:
        return make_part(
            generator_choices, args, n_mels=feats_extract.n_mels, hop=feats_extract.hop
        )

    @classmethod
    def build_model(cls, args: argparse.Namespace) -> ESPnetVocoderModel:
        feats_extract = cls.build_feats_extract(args)
        model = make_model(
            ESPnetVocoderModel,
            args,
            feats_extract,
            cls.build_generator(args, feats_extract),
            make_part(discriminator_choices, args),
            make_part(criterion_choices, args, fs=feats_extract.fbank.fs),
        )
        for name in ("network", "discriminator"):
            weights = getattr(model, name).parameters()
            logging.info(f"{name}: {sum(w.numel() for w in weights):,} weights")
        return model

    @classmethod
    def build_optimizers(
        cls, args: argparse.Namespace, model: ESPnetVocoderModel
    ) -> List[torch.optim.Optimizer]:
        """`optim` for the generator, `optim2` for the discriminators."""
        from espnet2.tasks.abs_task import optim_classes

        for option in ("sharded_ddp", "exclude_weight_decay"):
            if getattr(args, option):
                raise InputError(f"{option} is not for the training of a vocoder")
        generator = optim_classes[args.optim](
            model.network.parameters(), **args.optim_conf
        )
        generator.register_step_post_hook(lambda *_: model.update_ema())
        discriminator = optim_classes[args.optim2](
            model.discriminator.parameters(), **args.optim2_conf
        )
        return [generator, discriminator]


__getattr__ = task_of(__name__, "VocoderTask", VocoderBuilder, "ResumableGANTrainer")
