"""The vocoder as ESPnet's GAN trainer wants it."""

from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, Optional, Tuple

import torch
from espnet2.torch_utils.device_funcs import force_gatherable
from espnet2.train.abs_gan_espnet_model import AbsGANESPnetModel
from torch import nn
from torch.nn import functional as F

from espnet_fsqdiff.diffusion.ema import EMA
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.vocoder.discriminators import Discriminators
from espnet_fsqdiff.vocoder.generator import Generator, whole_ratio
from espnet_fsqdiff.vocoder.loss import VocoderLoss
from espnet_fsqdiff.vocoder.mel import WaveMel, cut_waves


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """What `module` is called for meanwhile gives its weights no gradients."""
    module.requires_grad_(False)
    try:
        yield
    finally:
        module.requires_grad_(True)


class ESPnetVocoderModel(AbsGANESPnetModel):
    """Generator with its moving average, discriminators, losses.

    Training takes segments at random places; validation whole utterances, the moving
    average, and no discriminator.

    Args:
        feats_extract: The mel.
        network: The generator.
        discriminator: The discriminators.
        criterion: The losses.
        segment_size: Samples of a segment, a multiple of the hop.
        adversarial_size: Samples of it that the discriminators get, at a random
            place; null for all. They cost the most, and need less context than the
            generator.
        discriminator_start: Steps of the generator before the discriminators start.
            Until then their turn costs nothing.
        ema_decay: Of the moving average.

    Raises:
        InputError: If the sizes do not fit.
    """

    def __init__(
        self,
        feats_extract: WaveMel,
        network: Generator,
        discriminator: Discriminators,
        criterion: VocoderLoss,
        segment_size: int = 15360,
        adversarial_size: Optional[int] = None,
        discriminator_start: int = 0,
        ema_decay: float = 0.999,
    ):
        super().__init__()
        hop = feats_extract.hop
        whole_ratio(segment_size, hop, f"model_conf: segment_size {segment_size}: hop")
        self.adversarial_size = adversarial_size or segment_size
        if self.adversarial_size > segment_size:
            raise InputError(
                f"model_conf: adversarial_size {adversarial_size} is more than "
                f"segment_size {segment_size}"
            )
        self.frames = segment_size // hop
        self.segment_size = segment_size
        self.discriminator_start = discriminator_start
        self.feats_extract = feats_extract
        self.network = network
        self.ema = EMA(network, ema_decay)
        self.discriminator = discriminator
        self.criterion = criterion

    def update_ema(self) -> None:
        """Follow the weights; after every step of the generator's optimizer."""
        self.ema.update(self.network)

    @property
    def adversarial(self) -> bool:
        """Whether the discriminators have started."""
        return self.ema.num_updates.item() >= self.discriminator_start

    def forward(
        self,
        speech: torch.Tensor,
        speech_lengths: torch.Tensor,
        feats: Optional[torch.Tensor] = None,
        feats_lengths: Optional[torch.Tensor] = None,
        forward_generator: bool = True,
        **kwargs,
    ) -> Dict[str, Any]:
        """One turn of the generator or of the discriminators.

        Args:
            speech: Waves (B, L).
            speech_lengths: Samples of each (B,).
            feats: Log-mels (B, F, n_mels) that the generator gets instead of those
                of the waves: another model's, to be tuned to.
            feats_lengths: Frames of each (B,).
            forward_generator: Whose turn it is.

        Returns:
            `loss`, `stats`, `weight` (B) and `optim_idx`: 0 for the generator, 1 for
            the discriminators.
        """
        waves = cut_waves(speech, speech_lengths)
        mels = None if feats is None else cut_waves(feats, feats_lengths)
        if not self.training:
            loss, stats = self._validate(waves, mels)
        elif forward_generator:
            loss, stats = self._generator_turn(*self.segments(waves, mels))
        else:
            loss, stats = self._discriminator_turn(waves, mels)
        loss, stats, weight = force_gatherable((loss, stats, len(waves)), loss.device)
        optim_idx = 0 if forward_generator else 1
        return dict(loss=loss, stats=stats, weight=weight, optim_idx=optim_idx)

    def segments(
        self, waves: List[torch.Tensor], mels: Optional[List[torch.Tensor]]
    ) -> Tuple[torch.Tensor, torch.Tensor]:
        """Random segments: log-mels (B, frames, n_mels), waves (B, segment_size).

        Short utterances are followed by silence.
        """
        size, hop = self.segment_size, self.feats_extract.hop
        waves = [F.pad(wave, (0, max(0, size - len(wave)))) for wave in waves]
        given = mels is not None
        if given:
            # Given mels may end a little before or after their waves.
            mels = [self._with_silence(mel) for mel in mels]
            last = [
                min(len(w) - size, (len(m) - self.frames) * hop)
                for w, m in zip(waves, mels)
            ]
        else:
            last = [len(wave) - size for wave in waves]
        starts = [int(torch.randint(n // hop + 1, ()).item()) for n in last]
        if given:
            inputs = torch.stack(
                [mel[s : s + self.frames] for mel, s in zip(mels, starts)]
            )
        else:
            inputs = self.feats_extract.segments(waves, starts, self.frames)
        real = torch.stack([wave[s * hop :][:size] for wave, s in zip(waves, starts)])
        return inputs, real

    def _with_silence(self, mel: torch.Tensor) -> torch.Tensor:
        missing = self.frames - len(mel)
        if missing <= 0:
            return mel
        silence = self.feats_extract.whole(mel.new_zeros(1))[:1]
        return torch.cat([mel, silence.expand(missing, -1)])

    def _generator_turn(self, mel, real):
        made = self.network(mel)
        spectral = self.criterion.spectral(made, real)
        told = None, None
        if self.adversarial:
            part = self._part()
            with frozen(self.discriminator):
                told = [self.discriminator(wave[:, part]) for wave in (made, real)]
        return self.criterion.generator(spectral, *told)

    def _discriminator_turn(self, waves, mels):
        if not self.adversarial:
            # A loss that reaches one small tensor, as distributed training asks;
            # the optimizer leaves alone what has no gradient.
            least = min(self.discriminator.parameters(), key=torch.Tensor.numel)
            return 0.0 * least.sum(), {}
        mel, real = self.segments(waves, mels)
        with torch.no_grad():
            made = self.network(mel)
        part = self._part()
        told = self.discriminator(made[:, part]), self.discriminator(real[:, part])
        return self.criterion.discriminator(*told)

    def _part(self) -> slice:
        """A random part of a segment for the discriminators."""
        spare = self.segment_size - self.adversarial_size
        start = int(torch.randint(spare + 1, ()).item())
        return slice(start, start + self.adversarial_size)

    def _validate(self, waves, mels):
        """Distances of whole utterances, means over them: `mel_loss`, the L1 between
        the vocoder's own log-mels, and `spectral_loss`."""
        true = [self.feats_extract.whole(wave) for wave in waves]
        mel_losses, losses = [], []
        # One more frame may be made than the wave has samples for, or fewer.
        made = self.ema.network.waves(mels or true)
        for wave, mel, own in zip(waves, true, made):
            length = min(len(own), len(wave))
            again = self.feats_extract.whole(own[:length])
            mel_losses.append(F.l1_loss(again, mel[: len(again)]))
            losses.append(
                self.criterion.spectral(own[None, :length], wave[None, :length])
            )
        stats = dict(mel_loss=mel_losses, spectral_loss=losses)
        stats = {key: torch.stack(value).mean() for key, value in stats.items()}
        return stats["mel_loss"], stats

    def collect_feats(self, **batch: torch.Tensor) -> Dict[str, torch.Tensor]:
        """Nothing: mels are scaled by fixed numbers; only shapes are collected."""
        return {}
