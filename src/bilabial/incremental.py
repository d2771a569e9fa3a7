"""The model as a recurrent step: layers carry the state of earlier frames.

A step takes new frames of sound and returns the same number of frames, `delay_frames` later. Frames before
and after the sound are padding (mask 0), so that steps of any size give the same result as the whole sound.
This needs the built-in speech encoder with its bounded context.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from bilabial.errors import UserError
from bilabial.hub.configuration_bilabial import BilabialConfig
from bilabial.hub.layers_bilabial import BilabialBlock, BilabialEncoderLayer
from bilabial.hub.modeling_bilabial import BilabialModel
from bilabial.steps import ModelSteps


def stem_delay_frames(config: BilabialConfig) -> int:
    """Internal frames after t whose sound the mel windows of frame t reach into."""
    beyond = config.frame_hop_samples // 2 + config.mel_window_samples // 2 - config.frame_hop_samples
    return max(0, math.ceil(beyond / config.frame_hop_samples))


def delay_frames(config: BilabialConfig) -> int:
    """Delay of a step's faces against its sound, in internal frames."""
    return stem_delay_frames(config) + config.num_lookahead_frames


def state_shapes(config: BilabialConfig) -> dict[str, tuple[int, ...]]:
    """Shape of every state at the start, where all are zeros.

    sound: samples. mask: (frames,). attention, conv: (layers, frames, E), what a layer's attention and
    convolution look at. waiting: (frames, E), states of lower layers that wait for the last one. decoder:
    (rows, frames, D), one row for each emotion.
    """
    size, ahead = config.encoder_size, sum_ahead(config)
    half_window = config.frame_hop_samples // 2 + config.mel_window_samples // 2
    longest = max(sum(config.encoder_attention_frames), sum(config.encoder_conv_frames))
    return {
        "sound": (stem_delay_frames(config) * config.frame_hop_samples + half_window,),
        "mask": (delay_frames(config) + longest,),
        "attention": (config.encoder_layers, sum(config.encoder_attention_frames), size),
        "conv": (config.encoder_layers, sum(config.encoder_conv_frames), size),
        "waiting": (ahead * sum(range(config.encoder_layers)), size),
        "decoder": (1, config.num_decoder_frames, config.hidden_size),
    }


def sum_ahead(config: BilabialConfig) -> int:
    """Frames that one encoder layer looks ahead."""
    return config.encoder_attention_frames[1] + config.encoder_conv_frames[1]


class BilabialStep(nn.Module):
    """One step of a model: the graph of step.onnx."""

    def __init__(self, model: BilabialModel):
        super().__init__()
        if model.config.audio_encoder_config is not None:
            raise UserError("stream_encoder", name=model.config.audio_encoder_config.model_type)
        self.model, self.config = model, model.config

    def forward(
        self,
        samples: torch.Tensor,
        mask: torch.Tensor,
        emotion: torch.Tensor,
        style: torch.Tensor,
        states: Sequence[torch.Tensor],
    ) -> tuple[torch.Tensor, ...]:
        """Faces of T frames, delayed, then the next states in the order of `state_shapes`.

        samples: (T * frame_hop_samples,) at the training level. mask: (T,), 0 for padding. emotion: (R, T, E)
        of the delayed frames; the first row must be neutral (zeros). style: a whole style vector. Returns
        neutral (T, C) without style statistics, and coefficients (R, T, C) with them, both in 0..1.
        """
        sound, mask_before, attention, conv, waiting, decoder = states
        sound = torch.cat([sound, samples])
        masks = torch.cat([mask_before, mask])
        speech_states, attention, conv, waiting = self.encode(sound, masks, mask, attention, conv, waiting)
        learned, stats = style.split([self.config.style_size, 2 * len(self.config.blendshapes)])
        mask_now = self._masks(masks, mask, delay_frames(self.config))[None, :, None]
        unclamped, decoder = self.decode(speech_states, mask_now, emotion, learned, decoder)
        rows = unclamped.clamp(0.0, 1.0)
        faces = self.model.apply_style_stats(rows, stats.float().view(2, -1), rows[:1])
        return rows[0], faces, _last(sound, samples), _last(masks, mask), attention, conv, waiting, decoder

    def _masks(self, masks: torch.Tensor, mask: torch.Tensor, delay: int, reach: int = 0) -> torch.Tensor:
        """Mask of the frames that come `delay` later, and of `reach` frames before them: (reach + T,)."""
        start = masks.shape[0] - mask.shape[0] - delay - reach
        return masks[start : start + reach + mask.shape[0]]

    def encode(
        self,
        sound: torch.Tensor,
        masks: torch.Tensor,
        mask: torch.Tensor,
        attention: torch.Tensor,
        conv: torch.Tensor,
        waiting: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        """Speech states (1, T, layers * E) of delayed frames, and the next three states."""
        config, count = self.config, mask.shape[0]
        hidden, delay = self.stem(sound), stem_delay_frames(config) + config.stem_lookahead_frames
        outputs: list[torch.Tensor] = []
        next_attention: list[torch.Tensor] = []
        next_conv: list[torch.Tensor] = []
        next_waiting: list[torch.Tensor] = []
        layers: Any = self.model.encoder.layers
        offset = 0
        for number, layer in enumerate(layers):
            hidden = hidden + layer.first(hidden)
            window = torch.cat([attention[number], hidden])
            next_attention.append(_last(window, hidden))
            hidden = self._attend(layer, window, masks, mask, delay)
            delay += config.encoder_attention_frames[1]
            window = torch.cat([conv[number], hidden])
            next_conv.append(_last(window, hidden))
            hidden = self._convolve(layer, window, masks, mask, delay)
            delay += config.encoder_conv_frames[1]
            hidden = layer.norm(hidden + layer.last(hidden))  # (T, E)
            frames = sum_ahead(config) * (config.encoder_layers - 1 - number)
            queue = torch.cat([waiting[offset : offset + frames], hidden])
            outputs.append(queue[:count])
            next_waiting.append(_last(queue, hidden))
            offset += frames
        states = torch.cat(outputs, -1)[None]
        return states, torch.stack(next_attention), torch.stack(next_conv), torch.cat(next_waiting)

    def stem(self, sound: torch.Tensor) -> torch.Tensor:
        """The encoder's first states (T, E) of sound that reaches back and ahead as far as they do."""
        encoder, config = self.model.encoder, self.config
        beyond = state_shapes(config)["sound"][0] - config.mel_window_samples  # of later frames
        power = encoder.power(sound[None, : sound.shape[0] - beyond].float())  # (1, F, 2 T + 1)
        mel = encoder.log_mel_of(power)
        return F.gelu(encoder.stem(mel.to(encoder.stem.weight.dtype)))[0].T

    def _attend(
        self,
        layer: BilabialEncoderLayer,
        window: torch.Tensor,
        masks: torch.Tensor,
        mask: torch.Tensor,
        delay: int,
    ) -> torch.Tensor:
        """Frames (T, E) with what they attend to, of a window (before + T + after, E)."""
        before, after = layer.attention_reach
        count, total, size = mask.shape[0], window.shape[0], window.shape[1]
        heads = layer.attention_in(layer.attention_norm(window)).view(
            total, 3, layer.heads, size // layer.heads
        )
        query, key, value = heads.permute(1, 2, 0, 3)  # (H, window, E / H)
        query = query[:, before : before + count]
        ahead = (
            torch.arange(total, device=window.device)
            - torch.arange(count, device=window.device)[:, None]
            - before
        )
        near = (ahead >= -before) & (ahead <= after)  # (T, window)
        there = self._masks(masks, mask, delay, before + after) > 0
        seen = (near & there[None]) | (ahead == 0)
        attended = F.scaled_dot_product_attention(query[None], key[None], value[None], attn_mask=seen[None])
        attended = attended[0].transpose(0, 1).reshape(count, size)
        return window[before : before + count] + layer.attention_out(attended)

    def _convolve(
        self,
        layer: BilabialEncoderLayer,
        window: torch.Tensor,
        masks: torch.Tensor,
        mask: torch.Tensor,
        delay: int,
    ) -> torch.Tensor:
        """Frames (T, E) with what their layer's convolution adds, of a window (before + T + after, E)."""
        before, after = layer.conv_reach
        there = self._masks(masks, mask, delay, before + after)[:, None].to(window.dtype)
        inner = F.glu(layer.conv_in(layer.conv_norm(window)), dim=-1) * there
        inner = F.silu(layer.conv(inner.T[None]))[0].T
        return window[before : before + mask.shape[0]] + layer.conv_out(inner)

    def decode(
        self,
        speech_states: torch.Tensor,
        mask: torch.Tensor,
        emotion: torch.Tensor,
        style: torch.Tensor,
        before: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Coefficients (R, T, C), not clamped, and what the decoder keeps (R, frames, D)."""
        model, offset = self.model, 0
        kept: list[torch.Tensor] = []
        blocks: Any = model.decoder
        hidden = model.projection(speech_states)  # (1, T, D)
        condition = model._condition(emotion.shape[0], emotion, style, hidden)
        hidden = hidden.expand(emotion.shape[0], -1, -1)
        for block in blocks:
            window = torch.cat([before[:, offset : offset + block.left], hidden * mask], dim=1)
            kept.append(_last(window, hidden, 1))
            hidden = self._modulate(block, window, hidden, condition)
            offset += block.left
        unclamped = model.head(model.norm(hidden)) + model.expression(condition)
        unclamped = unclamped.float().masked_fill(~model._seen(hidden.device), 0.0)
        return unclamped, torch.cat(kept, 1)

    def _modulate(
        self, block: BilabialBlock, window: torch.Tensor, hidden: torch.Tensor, condition: torch.Tensor
    ) -> torch.Tensor:
        """A decoder block (R, T, D) of a window that reaches back as far as it does."""
        inner = block.norm(block.conv(window.transpose(1, 2)).transpose(1, 2))
        scale, shift = block.modulation(condition).chunk(2, dim=-1)
        inner = inner * (1.0 + scale) + shift
        return hidden + block.narrow(F.gelu(block.widen(inner)))


def _last(window: torch.Tensor, new: torch.Tensor, dim: int = 0) -> torch.Tensor:
    """The end of a window that the next step needs again: all but as many frames as are new."""
    return window.narrow(dim, new.shape[dim], window.shape[dim] - new.shape[dim])


def model_steps(model: BilabialModel, style: torch.Tensor) -> ModelSteps:
    """Steps of a model of torch, on its device. style: a whole style vector.

    Raises ValueError for a model whose speech encoder needs whole clips.
    """
    step, shapes = BilabialStep(model), state_shapes(model.config)

    @torch.no_grad()
    def run(feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        given = [torch.from_numpy(value).to(model.device, model.dtype) for value in feeds.values()]
        given[0] = given[0].float()  # sound: half precision has no place for soft parts
        given[4] = given[4].float()
        outputs = [value.float().cpu().numpy() for value in step(*given[:4], given[4:])]
        names = ("neutral", "coefficients", *(f"next_{name}" for name in shapes))
        return dict(zip(names, outputs, strict=True))

    return ModelSteps(run, shapes, delay_frames(model.config), style.float().cpu().numpy())
