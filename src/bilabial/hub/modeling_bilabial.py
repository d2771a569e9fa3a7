"""The Bilabial model: speech, emotion and style -> ARKit blendshape coefficients of every frame.

A speech encoder (built in, or any of `transformers`) gives one state per internal frame (50 Hz); a decoder,
modulated by emotion and style, turns states into coefficients. The decoder only has convolutions over past
frames and norms of single frames; with the built-in encoder, whose context is bounded as well, a long
recording may be computed in chunks with the same result.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from transformers.utils import ModelOutput

from .blendshapes_bilabial import check_fps, frame_windows, frames_at_rate, num_frames
from .configuration_bilabial import BilabialConfig
from .expression_bilabial import (
    STYLE_PRESETS,
    Mixture,
    Schedule,
    check_condition,
    check_intensity,
    check_style,
    mixture_weights,
    named_style_stats,
    reference_style_stats,
    reference_values,
    restyle,
    schedule_weights,
    style_amounts,
)
from .layers_bilabial import (
    BilabialAudioEncoder,
    BilabialBlock,
    BilabialPreTrainedModel,
    BilabialSpeechEncoder,
    start_at_zero,
)
from .level_bilabial import check_sampling_rate, checked_samples, normalize_level, quiet_share
from .lips_bilabial import close_lips, lip_distance, match_lip_closure, objective

if TYPE_CHECKING:
    # transformers copies files imported in this form; pipeline() needs this one beside the model
    from .feature_extraction_bilabial import BilabialPipeline  # noqa: F401

PIPELINES = {
    "audio-to-blendshapes": {"impl": "feature_extraction_bilabial.BilabialPipeline", "pt": ["AutoModel"]}
}


@dataclass
class BilabialOutput(ModelOutput):
    """
    Output of [`BilabialModel`]; T internal frames, C coefficients.

    Args:
        loss (`torch.FloatTensor` of shape `(1,)`, *optional*, returned when `labels` is given):
            Weighted sum of `loss_terms`.
        loss_terms (`dict[str, torch.FloatTensor]`, *optional*, returned when `labels` is given):
            The terms of the objective by name, without their weights.
        coefficients (`torch.FloatTensor` of shape `(batch_size, T, C)`):
            Blendshape coefficients in 0..1, columns `config.blendshapes`.
        lip_distance (`torch.FloatTensor` of shape `(batch_size, T)`):
            Distance of the lips in lip units, of the coefficients.
        closure (`torch.FloatTensor` of shape `(batch_size, T)`, *optional*, returned when `labels` is given):
            Closure degree of the labels in 0..1.
        speech_states (`torch.FloatTensor` of shape `(batch_size, T, E)`):
            States of the speech encoder, before emotion and style.
    """

    loss: torch.Tensor | None = None
    loss_terms: dict[str, torch.Tensor] | None = None
    coefficients: torch.Tensor | None = None
    lip_distance: torch.Tensor | None = None
    closure: torch.Tensor | None = None
    speech_states: torch.Tensor | None = None


class BilabialModel(BilabialPreTrainedModel):
    """
    The model of Bilabial: speech -> coefficients. It inherits from [`PreTrainedModel`].

    Args:
        config ([`BilabialConfig`]):
            Every size and weight. Initializing with a config does not load weights; see
            [`~PreTrainedModel.from_pretrained`].
    """

    _auto_class = "AutoModel"  # save_pretrained() writes the code for AutoModel

    def __init__(self, config: BilabialConfig):
        super().__init__(config)
        if config.audio_encoder_config is None:
            self.encoder = BilabialSpeechEncoder(config)
            self.projection = nn.Linear(config.encoder_layers * config.encoder_size, config.hidden_size)
            self.dropout = nn.Dropout(config.dropout)
        else:
            self.audio_encoder = BilabialAudioEncoder(config)
        self.style_embedding = nn.Embedding(len(config.styles), config.style_size)
        condition_size = len(config.emotions) + config.style_size
        self.decoder = nn.ModuleList(
            [BilabialBlock(config, dilation, condition_size) for dilation in config.decoder_dilations]
        )
        self.norm = nn.LayerNorm(config.hidden_size)
        self.head = nn.Linear(config.hidden_size, len(config.blendshapes))
        # an offset of emotion and style that does not depend on speech
        self.expression = start_at_zero(nn.Linear(condition_size, len(config.blendshapes), bias=False))
        self.post_init()

    def save_pretrained(self, *args: object, **kwargs: object) -> None:
        """As in `transformers`, plus the code files, and the task of pipeline() in config.json."""
        self.config.__dict__.pop("custom_pipelines", None)
        if self._auto_class is not None:
            self.config.custom_pipelines = PIPELINES
        super().save_pretrained(*args, **kwargs)

    def forward(
        self,
        input_values: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        emotion: torch.Tensor | None = None,
        style: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        label_mask: torch.Tensor | None = None,
        channel_mask: torch.Tensor | None = None,
    ) -> BilabialOutput:
        """
        Predict the coefficients of T = ceil(num_samples / frame_hop_samples) frames; with labels also the
        loss.

        Args:
            input_values (`torch.FloatTensor` of shape `(batch_size, num_samples)`):
                Speech at 16 kHz, level-normalized ([`BilabialFeatureExtractor`]).
            attention_mask (`torch.Tensor` of shape `(batch_size, num_samples)`, *optional*):
                0 for padding, else 1.
            emotion (`torch.FloatTensor` of `(E,)`, `(batch_size, E)` or `(batch_size, T, E)`, *optional*):
                Emotion weights ([`~BilabialModel.encode_emotion`]); `None` is neutral.
            style (`torch.Tensor`, *optional*):
                A style vector or `(batch_size, ...)` of them, whole ([`~BilabialModel.encode_style`]) or
                their first `config.style_size` numbers; or `(batch_size,)` integer indices into
                `config.styles`. `None` is the first style.
            labels (`torch.FloatTensor` of shape `(batch_size, T, C)`, *optional*):
                Captured coefficients in 0..1. The loss is of what the decoder gives, before the statistics of
                a whole style vector are applied.
            label_mask (`torch.Tensor` of shape `(batch_size, T)`, *optional*):
                0 for frames that do not count.
            channel_mask (`torch.Tensor` of shape `(batch_size, C)`, *optional*):
                0 for coefficients that do not count.

        Returns:
            [`BilabialOutput`]: coefficients and losses are float32, also where weights are of half precision.

        Raises:
            `ValueError`: for other shapes.
        """
        if input_values.dim() != 2:
            raise ValueError(f"input_values must be (batch, samples), got shape {tuple(input_values.shape)}")
        if attention_mask is None:
            attention_mask = torch.ones_like(input_values, dtype=torch.long)
        mask = attention_mask[:, :: self.config.frame_hop_samples, None].to(self.dtype)  # (B, T, 1)
        speech_states = self.encode_speech(input_values * attention_mask, attention_mask, mask)  # (B, T, E)
        check_condition("emotion", emotion, (len(self.config.emotions),), mask.shape[:2])
        style, style_stats = self._split_style(style, mask.shape[:1])  # (., style_size), (., 2 C)
        unclamped = self.decode(speech_states, mask, emotion, style)  # (B, T, C)
        coefficients = unclamped.clamp(0.0, 1.0)
        if style_stats is not None:
            style_stats = style_stats.float().unflatten(-1, (2, -1))  # (., 2, C)
            neutral = (
                None if emotion is None else self.decode(speech_states, mask, None, style).clamp(0.0, 1.0)
            )
            coefficients = self.apply_style_stats(coefficients, style_stats, neutral)
        output = BilabialOutput(
            coefficients=coefficients,
            lip_distance=lip_distance(
                coefficients, self.config.blendshapes, self.config.lip_distance_weights
            ),
            speech_states=speech_states,
        )
        if labels is not None:
            labels, frames = labels.float(), mask[..., 0].float()  # sums in half precision overflow
            frames = frames if label_mask is None else frames * label_mask
            channels = torch.ones_like(labels[:, 0]) if channel_mask is None else channel_mask.float()
            # before clamping, so that coefficients below 0 still have a gradient
            output.loss, output.loss_terms, output.closure = objective(
                unclamped, labels, frames, channels, self.config
            )
        return output

    def decode(
        self,
        speech_states: torch.Tensor,
        mask: torch.Tensor,
        emotion: torch.Tensor | None,
        style: torch.Tensor | None,
    ) -> torch.Tensor:
        """Coefficients (B, T, C), not clamped, of speech states (B, T, E) with mask (B, T, 1)."""
        hidden_states = speech_states
        if self.config.audio_encoder_config is None:
            hidden_states = self.projection(self.dropout(speech_states))  # (B, T, D)
        condition = self._condition(speech_states.shape[0], emotion, style, hidden_states)
        for block in self.decoder:
            hidden_states = block(hidden_states, mask, condition)
        unclamped = self.head(self.norm(hidden_states)) + self.expression(condition)
        return unclamped.float().masked_fill(~self._seen(speech_states.device), 0.0)

    def encode_speech(
        self, input_values: torch.Tensor, attention_mask: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        """Speech states of the internal frames, before emotion and style: (B, S) -> (B, T, E)."""
        if self.config.audio_encoder_config is None:
            return self.encoder(input_values, mask)
        return self.audio_encoder(input_values, attention_mask)

    def _condition(
        self, batch: int, emotion: torch.Tensor | None, style: torch.Tensor | None, like: torch.Tensor
    ) -> torch.Tensor:
        """Emotion weights and style vector side by side: (B, 1 or T, E + style_size)."""
        if emotion is None:
            emotion = like.new_zeros(batch, len(self.config.emotions))
        if style is None:
            style = torch.zeros(batch, dtype=torch.long, device=like.device)
        if not torch.is_floating_point(style):
            style = self.style_embedding(style)
        emotion = emotion.expand(batch, -1) if emotion.dim() == 1 else emotion
        style = style.expand(batch, -1) if style.dim() == 1 else style
        emotion = emotion[:, None] if emotion.dim() == 2 else emotion
        return torch.cat([emotion.to(like), style[:, None].to(like).expand(-1, emotion.shape[1], -1)], -1)

    def _split_style(
        self, style: torch.Tensor | None, batch: tuple[int, ...]
    ) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """The input of the decoder, and offsets and log amplitudes (., 2 C) of complete style vectors, else
        None.
        """
        learned = self.config.style_size
        whole = learned + 2 * len(self.config.blendshapes)
        check_style(style, len(self.config.styles), (whole, learned), batch)
        if style is None or not torch.is_floating_point(style) or style.shape[-1] == learned:
            return style, None
        return style[..., :learned], style[..., learned:]

    def _seen(self, device: torch.device) -> torch.Tensor:
        """(C,) bool: False for blendshapes that no training data moved."""
        seen = [name not in self.config.unseen_blendshapes for name in self.config.blendshapes]
        return torch.tensor(seen, device=device)

    def encode_emotion(self, emotion: Mixture = "neutral", intensity: float = 1.0) -> torch.Tensor:
        """Emotion weights (E,) of a name or a mixture {name: share}, times intensity 0..1.5.

        Neutral is all zeros; shares of more than 1 together are scaled to 1. Raises ValueError for unknown
        names, shares below 0, or an intensity outside its range.
        """
        intensity = check_intensity(intensity)
        return torch.from_numpy(mixture_weights(emotion, self.config.emotions)) * intensity

    def encode_schedule(
        self, schedule: Schedule, intensity: float = 1.0, num_frames: int = 1
    ) -> torch.Tensor:
        """Emotion weights (T, E) of internal frames, of a schedule [(seconds, name or mixture), ...].

        Transitions take a second, centered on the entry's time. Raises ValueError like encode_emotion, and
        unless the times rise.
        """
        intensity = check_intensity(intensity)
        times = np.arange(num_frames) / self.config.frame_rate_hz
        return torch.from_numpy(schedule_weights(schedule, self.config.emotions, times)) * intensity

    @property
    def style_names(self) -> list[str]:
        """Names of available styles: those of the training data, then presets."""
        trained = list(self.config.styles)
        return trained + [name for name in STYLE_PRESETS if name not in trained]

    def encode_style(self, style: str | Mapping[str, float] | torch.Tensor | None = None) -> torch.Tensor:
        """Style vector (style_size + 2 C,): the decoder's input, then style statistics
        (expression_bilabial.py).

        style: a name, a mixture {name: amount 0..1.5} of differences from the first style, a vector
        (`reference_style`), or None = the first. Raises ValueError for an unknown name, amount or size.
        """
        size = self.config.style_size + 2 * len(self.config.blendshapes)
        if isinstance(style, torch.Tensor):
            if style.shape != (size,):
                raise ValueError(f"a style vector has {size} numbers, got shape {tuple(style.shape)}")
            return style.to(self.style_embedding.weight)
        default = self._named_style(self.config.styles[0])
        vector = default.clone()
        for name, amount in style_amounts(style, self.style_names).items():
            vector = vector + amount * (self._named_style(name) - default)
        return vector

    def reference_style(self, values: np.ndarray | torch.Tensor) -> torch.Tensor:
        """The style vector of captured speech, values (T, C) in 0..1, columns config.blendshapes.

        It holds mean and amplitude of every coefficient. Raises ValueError for fewer than 20 frames, for lips
        that hardly move, and where the model has no statistics to compare with.
        """
        config = self.config
        if config.channel_means is None or config.channel_spreads is None:
            raise ValueError("this model has no channel_means and channel_spreads to compare with")
        reference = reference_values(values, config.blendshapes, config.lip_distance_weights)
        means, spreads = torch.tensor(config.channel_means), torch.tensor(config.channel_spreads)
        style_stats = reference_style_stats(torch.from_numpy(reference), config.blendshapes, means, spreads)
        default = self._named_style(config.styles[0])
        own = torch.cat([torch.zeros(config.style_size), style_stats.flatten()])
        return default + own.to(default)

    def _named_style(self, name: str) -> torch.Tensor:
        config = self.config
        trained, style_stats = named_style_stats(
            name, config.styles, config.blendshapes, config.style_gains or {}
        )
        learned = self.style_embedding.weight[list(config.styles).index(trained)].detach()
        return torch.cat([learned, torch.from_numpy(style_stats).flatten().to(learned)])

    @torch.no_grad()
    def animate(
        self,
        waveform: np.ndarray | torch.Tensor,
        sampling_rate: int,
        emotion: Mixture | Schedule = "neutral",
        intensity: float = 1.0,
        style: str | Mapping[str, float] | torch.Tensor | None = None,
        fps: float = 30.0,
        speech_states: Sequence[torch.Tensor] | None = None,
        do_normalize: bool = True,
    ) -> torch.Tensor:
        """Coefficients (ceil(seconds * fps), C) float32 in 0..1 of speech; columns are config.blendshapes.

        waveform: (S,) at config.sampling_rate, floats in -1..1 or integers (see `as_floats`). emotion: a
        name, a mixture or a schedule, times intensity 0..1.5. style: see encode_style. Frame k is at k / fps
        seconds. Lips that are closed in neutral speech stay closed in every emotion and style, and an emotion
        changes their distance by at most EMOTION_OPENING. speech_states: what `encode_audio` gave for this
        waveform, None = encoded now. do_normalize: scale speech to the training level; False if already done.
        Raises ValueError for another rate, an empty or non-finite waveform, and unknown names or ranges.
        """
        check_sampling_rate(sampling_rate, self.config.sampling_rate)
        fps = check_fps(fps)
        samples = checked_samples(waveform)
        config, names = self.config, self.config.blendshapes
        total = math.ceil(len(samples) / config.frame_hop_samples)
        if isinstance(emotion, (str, Mapping)):
            weights = self.encode_emotion(emotion, intensity).expand(total, -1)
        else:
            weights = self.encode_schedule(emotion, intensity, total)
        learned, style_stats = self.encode_style(style).split([config.style_size, 2 * len(names)])
        style_stats = style_stats.view(2, -1).float().cpu()
        sound = normalize_level(samples) if do_normalize else samples
        chunks = self._encode_chunks(sound) if speech_states is None else speech_states
        share = torch.from_numpy(
            quiet_share(sound, config.frame_hop_samples, config.rest_seconds, config.lookahead_seconds)
        )
        faces = self._decode_chunks(chunks, weights, learned, style_stats, share)
        count = num_frames(len(samples) / sampling_rate, fps)
        neutral, face = (
            torch.from_numpy(frames_at_rate(part.numpy(), config.frame_rate_hz, range(count), fps))
            for part in faces
        )
        return self.match_lip_closure(neutral, face, style_stats, bool(weights.any()))

    def _decode_chunks(
        self,
        speech_states: Iterable[torch.Tensor],
        weights: torch.Tensor,
        style: torch.Tensor,
        style_stats: torch.Tensor,
        share: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        """Final coefficients (T, C), neutral and with emotion, chunk by chunk: see `apply_style_and_rest`."""
        faces = torch.empty(2, len(weights), len(self.config.blendshapes))
        for states, (first, last, kept) in zip(speech_states, self._windows(len(weights)), strict=True):
            pair = self.decode_window(states, weights[first:last], style, kept)
            here = slice(first + kept.start, first + kept.stop)
            faces[:, here] = torch.stack(self.apply_style_and_rest(*pair, style_stats, share[here]))
        return faces.unbind()

    def apply_style_and_rest(
        self, neutral: torch.Tensor, face: torch.Tensor, style_stats: torch.Tensor, share: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The face (T, C) with style_stats (2, C), then both faces moved to rest by `quiet_share` (T,)."""
        config, names = self.config, self.config.blendshapes
        face = self.apply_style_stats(face, style_stats, neutral)
        if config.rest_seconds <= 0:
            return neutral, face
        weights = config.lip_distance_weights
        return close_lips(neutral, names, weights, share), close_lips(face, names, weights, share)

    def apply_style_stats(
        self, face: torch.Tensor, style_stats: torch.Tensor, neutral: torch.Tensor | None
    ) -> torch.Tensor:
        """Faces (..., T, C) with style_stats (..., 2, C). neutral: those without emotion, None = these."""
        config = self.config
        means = torch.tensor(config.channel_means or 0.0, device=face.device)
        return restyle(face, style_stats, means, config.blendshapes, config.lip_distance_weights, neutral)

    def match_lip_closure(
        self, neutral: torch.Tensor, face: torch.Tensor, style_stats: torch.Tensor, has_emotion: bool
    ) -> torch.Tensor:
        """The face (T, C) with lips closed where those of the neutral face (T, C) are closed or nearly
        closed.

        style_stats: (2, C), those of the face. has_emotion: with an emotion, limited to EMOTION_OPENING.
        """
        config, names = self.config, list(self.config.blendshapes)
        opening = style_stats[1, names.index("jawOpen")].exp()
        return match_lip_closure(
            neutral, face, opening, names, config.lip_distance_weights, config.seal_distance, has_emotion
        )

    @torch.no_grad()
    def encode_audio(
        self, waveform: np.ndarray | torch.Tensor, do_normalize: bool = True
    ) -> list[torch.Tensor]:
        """The speech states of a waveform (S,) for `animate`, independent of emotion, style and rate.

        Speech states (1, T, E) of one chunk with its context after another. do_normalize: as in `animate`.
        Raises ValueError like it.
        """
        samples = checked_samples(waveform)
        return list(self._encode_chunks(normalize_level(samples) if do_normalize else samples))

    def _encode_chunks(self, sound: np.ndarray) -> Iterator[torch.Tensor]:
        """The same for normalized samples (S,), chunk by chunk with constant memory."""
        hop = self.config.frame_hop_samples
        for first, last, _ in self._windows(math.ceil(len(sound) / hop)):
            yield self.encode_window(torch.from_numpy(sound[first * hop : last * hop]))

    def encode_window(self, input_values: torch.Tensor) -> torch.Tensor:
        """Speech states (1, T, E) of samples (S,), level-normalized, on any device."""
        part = input_values.to(self.device)
        ones = torch.ones(1, len(part), dtype=torch.long, device=part.device)
        mask = ones[:, :: self.config.frame_hop_samples, None].to(self.dtype)  # (1, T, 1)
        return self.encode_speech(part[None], ones, mask)

    def decode_window(
        self, speech_states: torch.Tensor, emotion: torch.Tensor, style: torch.Tensor, kept: slice
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Coefficients (K, C) in 0..1 of the kept frames: without emotion, and with it.

        speech_states: (1, T, E), of `encode_window`. emotion: (T, E) weights. style: (style_size,), the
        learned part. Returns float32 on the CPU.
        """
        first = max(0, kept.start - self.config.num_decoder_frames)  # history of the decoder
        states = speech_states[:, first : kept.stop].to(self.device, self.dtype)
        emotion = emotion[first : kept.stop]
        mask = torch.ones_like(states[..., :1])
        neutral = face = self.decode(states, mask, None, style[None])[0, kept.start - first :]
        if emotion.any():
            emotion = emotion[None].to(states.device)
            face = self.decode(states, mask, emotion, style[None])[0, kept.start - first :]
        return neutral.clamp(0.0, 1.0).float().cpu(), face.clamp(0.0, 1.0).float().cpu()

    def _windows(self, total: int) -> Iterator[tuple[int, int, slice]]:
        """`frame_windows` of `total` internal frames, or one of all for an encoder of `transformers`."""
        if self.config.audio_encoder_config is not None:  # needs the whole clip
            return iter([(0, total, slice(0, total))])
        return frame_windows(total, self.config.num_history_frames, self.config.num_lookahead_frames)


__all__ = ["BilabialModel"]
