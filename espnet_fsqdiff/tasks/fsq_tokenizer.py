"""ESPnet task that trains the speech tokenizer."""

import argparse
import logging
from typing import Callable, Dict, Optional, Sequence, Tuple

import torch
from espnet2.asr.encoder.conformer_encoder import ConformerEncoder
from espnet2.asr.encoder.e_branchformer_encoder import EBranchformerEncoder
from espnet2.asr.encoder.transformer_encoder import TransformerEncoder
from espnet2.asr.specaug.specaug import SpecAug
from espnet2.torch_utils.device_funcs import force_gatherable
from espnet2.train.abs_espnet_model import AbsESPnetModel
from espnet2.train.class_choices import ClassChoices
from espnet2.utils.get_default_kwargs import get_default_kwargs
from espnet2.utils.nested_dict_action import NestedDictAction
from espnet2.utils.types import str_or_none

from espnet_fsqdiff.fsq import FSQ, code_usage
from espnet_fsqdiff.nets.masks import length_mask
from espnet_fsqdiff.nets.precision import check_cpu_autocast, cpu_autocast
from espnet_fsqdiff.option_types import check_types
from espnet_fsqdiff.rvq import ResidualVQ
from espnet_fsqdiff.tasks.building import make_model, make_part
from espnet_fsqdiff.tasks.common import (
    Preprocessor,
    add_text_arguments,
    build_text_tokenizer,
    token_list_of,
)
from espnet_fsqdiff.tasks.lazy import task_of
from espnet_fsqdiff.tasks.mels import (
    build_feats_extract,
    feats_extract_choices,
    frames_of_token,
    read_mel_stats,
)
from espnet_fsqdiff.tokenizer.augment import MelAugment
from espnet_fsqdiff.tokenizer.convnext import ConvNeXtDecoder, ConvNeXtEncoder
from espnet_fsqdiff.tokenizer.model import SpeechTokenizerModel

# ESPnet's encoders keep the token rate with `input_layer: linear`.
encoder_choices = ClassChoices(
    "encoder",
    classes=dict(
        convnext=ConvNeXtEncoder,
        conformer=ConformerEncoder,
        e_branchformer=EBranchformerEncoder,
        transformer=TransformerEncoder,
    ),
    default="convnext",
)
QUANTIZERS = dict(fsq=FSQ, rvq=ResidualVQ)
quantizer_choices = ClassChoices("quantizer", classes=QUANTIZERS, default="fsq")
decoder_choices = ClassChoices(
    "decoder", classes=dict(convnext=ConvNeXtDecoder), default="convnext"
)
recognizer_choices = ClassChoices(
    "recognizer", classes=dict(convnext=ConvNeXtDecoder), default="convnext"
)
specaug_choices = ClassChoices(
    "specaug", classes=dict(specaug=SpecAug), default=None, optional=True
)


NUMBERS = dict(
    token_rate=float,
    mel_weight=float,
    ctc_weight=float,
    usage_weight=float,
    mel_scales=Sequence[int],
    match_variance=float,
    shift_frames=int,
    stretch=float,
)


class ESPnetFSQTokenizerModel(AbsESPnetModel):
    """The tokenizer as ESPnet's trainer wants it.

    Args:
        tokenizer: The network.
        cpu_autocast: Mixed precision on a CPU: auto, bfloat16 or off.
    """

    def __init__(self, tokenizer: SpeechTokenizerModel, cpu_autocast: str = "auto"):
        super().__init__()
        check_cpu_autocast(cpu_autocast)
        self.tokenizer = tokenizer
        self.cpu_autocast = cpu_autocast

    def forward(
        self,
        speech: torch.Tensor,
        speech_lengths: torch.Tensor,
        text: Optional[torch.Tensor] = None,
        text_lengths: Optional[torch.Tensor] = None,
        **kwargs,
    ) -> Tuple[torch.Tensor, Dict[str, torch.Tensor], torch.Tensor]:
        """Waves (B, L) and symbol ids (B, S) to loss, statistics and weight."""
        with cpu_autocast(speech.device, self.cpu_autocast):
            loss, stats, output = self.tokenizer(
                speech, speech_lengths, text, text_lengths
            )
        real = output.tokens[length_mask(output.lengths, output.tokens.size(1))]
        usage = code_usage(real, self.tokenizer.quantizer.num_codes)
        stats = {k: v.detach() for k, v in stats.items()}
        stats.update(
            loss=loss.detach(), perplexity=loss.new_tensor(usage["perplexity"])
        )
        return force_gatherable((loss, stats, speech.size(0)), loss.device)

    def collect_feats(
        self, speech: torch.Tensor, speech_lengths: torch.Tensor, **kwargs
    ) -> Dict[str, torch.Tensor]:
        """Log-mels whose mean and spread the statistics stage sums up."""
        feats, feats_lengths = self.tokenizer.feats_extract(speech, speech_lengths)
        return {"feats": feats, "feats_lengths": feats_lengths}


class FSQTokenizerBuilder:
    """Audio -> log-mel -> encoder -> quantizer -> recognizer and mel decoder."""

    num_optimizers = 1
    class_choices_list = [
        feats_extract_choices,
        encoder_choices,
        quantizer_choices,
        decoder_choices,
        recognizer_choices,
        specaug_choices,
    ]

    @classmethod
    def add_task_arguments(cls, parser: argparse.ArgumentParser) -> None:
        group = parser.add_argument_group("Task related")
        group.add_argument(
            "--token_rate", type=float, default=25.0, help="Speech tokens a second"
        )
        group.add_argument(
            "--mel_stats_file",
            type=str_or_none,
            help="feats_stats.npz of the statistics stage; kept in the model",
        )
        group.add_argument("--mel_weight", type=float, default=1.0)
        group.add_argument("--ctc_weight", type=float, default=0.2)
        group.add_argument("--usage_weight", type=float, default=0.0)
        group.add_argument(
            "--mel_scales",
            type=int,
            nargs="+",
            default=[1],
            help="Squares of the mel picture that the mel loss averages over",
        )
        group.add_argument(
            "--match_variance",
            type=float,
            default=1.0,
            help="How far decoded mels get the spread of the training set, 0 to 1 "
            "or more",
        )
        group.add_argument(
            "--shift_frames",
            type=int,
            default=0,
            help="Augmentation: up to this many mel frames less at the start",
        )
        group.add_argument(
            "--stretch",
            type=float,
            default=0.0,
            help="Augmentation: tempo from 1 - stretch to 1 + stretch",
        )
        group.add_argument(
            "--model_conf",
            action=NestedDictAction,
            default=get_default_kwargs(ESPnetFSQTokenizerModel),
            help="Keyword arguments of the ESPnet model",
        )
        group = parser.add_argument_group("Preprocess related")
        add_text_arguments(group)
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
        return Preprocessor(build_text_tokenizer(args))

    @classmethod
    def required_data_names(
        cls, train: bool = True, inference: bool = False
    ) -> Tuple[str, ...]:
        return ("speech",) if inference else ("speech", "text")

    @classmethod
    def optional_data_names(
        cls, train: bool = True, inference: bool = False
    ) -> Tuple[str, ...]:
        return ()

    @classmethod
    def build_model(cls, args: argparse.Namespace) -> ESPnetFSQTokenizerModel:
        # The lists and figures themselves go into the saved configuration and
        # the model, so that both can be moved.
        args.token_list = token_list_of(args)
        values = {name: getattr(args, name) for name in NUMBERS}
        check_types("", NUMBERS, values)
        feats_extract = build_feats_extract(args)
        frames_per_token = frames_of_token(
            feats_extract.get_parameters(), args.token_rate
        )

        stacked = feats_extract.output_size() * frames_per_token
        encoder = make_part(encoder_choices, args, input_size=stacked)
        quantizer = make_part(quantizer_choices, args)
        decoder = recognizer = None
        if args.mel_weight > 0:
            decoder = make_part(
                decoder_choices, args, input_size=quantizer.dim, output_size=stacked
            )
        if args.ctc_weight > 0:
            recognizer = make_part(
                recognizer_choices,
                args,
                input_size=quantizer.dim,
                output_size=len(args.token_list) + 1,
            )
        specaug = None
        if args.specaug is not None:
            specaug = make_part(specaug_choices, args)
        augment = MelAugment(args.shift_frames, args.stretch, specaug)
        tokenizer = SpeechTokenizerModel(
            feats_extract,
            encoder,
            quantizer,
            decoder,
            recognizer,
            frames_per_token=frames_per_token,
            mel_weight=args.mel_weight,
            ctc_weight=args.ctc_weight,
            usage_weight=args.usage_weight,
            mel_scales=args.mel_scales,
            match_variance=args.match_variance,
            augment=augment,
        )
        if args.mel_stats_file is not None:
            tokenizer.set_mel_statistics(*read_mel_stats(args.mel_stats_file))
            args.mel_stats_file = None
        logging.info(f"{quantizer.num_codes} codes at {args.token_rate} Hz")
        return make_model(ESPnetFSQTokenizerModel, args, tokenizer)


__getattr__ = task_of(__name__, "FSQTokenizerTask", FSQTokenizerBuilder)
