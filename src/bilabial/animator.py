"""Speech in, a talking face out: the one call that most users need."""

from __future__ import annotations

import hashlib
import random
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from bilabial.checkpoint import load_checkpoint
from bilabial.clip import FaceClip
from bilabial.errors import UntrainedEmotionWarning, UserError, as_number, as_path
from bilabial.hub.blendshapes_bilabial import MAX_STYLE_AMOUNT
from bilabial.hub.conditions_bilabial import Mixture, Schedule, is_schedule
from bilabial.hub.feature_extraction_bilabial import BilabialFeatureExtractor
from bilabial.hub.frames_bilabial import check_fps
from bilabial.hub.loudness_bilabial import SAMPLING_RATE
from bilabial.hub.modeling_bilabial import BilabialModel
from bilabial.incremental import model_steps
from bilabial.io.audio import MAX_SECONDS, AudioSource, load_audio
from bilabial.kept import Kept
from bilabial.motion import Adjustments, Sound, adjust, check_motion, check_seed, enliven
from bilabial.streaming import STREAM_MOTIONS, FaceStream

KEPT_BYTES = 128 * 2**20  # of speech states of the latest sounds: 23 MB for two minutes of sound
KEPT_SECONDS = 600.0
MAX_KEPT_SAMPLES = 600 * SAMPLING_RATE  # of a sound whose states are kept: they fit
# Somebody speaks who opens the lips so often, in the best few seconds. Captured speech: 1.4 to 3 a second; a
# range-of-motion recording of an iPhone: 0.3.
MIN_OPENINGS_HZ, OPENING_MM, SPEAKING_SECONDS = 0.8, 1.0, 3.0
Style = str | Mapping[str, float] | FaceClip | Path | torch.Tensor


class Animator:
    """A loaded model, ready to animate.

    model, feature_extractor: the two transformers objects. heard: speech states of the latest sounds, at most
    128 MB of them and for ten minutes.
    """

    def __init__(self, model: BilabialModel, feature_extractor: BilabialFeatureExtractor):
        self.model = model
        self.feature_extractor = feature_extractor
        # the same sound in another mood was heard already
        self.heard: Kept[list[torch.Tensor]] = Kept(KEPT_BYTES, KEPT_SECONDS)

    @classmethod
    def from_pretrained(cls, source: str | Path | None = None, revision: str | None = None) -> Animator:
        """Load a model: None = the embedded default, else a folder or a Hub id (at a revision).

        Raises FileNotFoundError naming what a folder lacks.
        """
        return cls(*load_checkpoint(source, revision))

    def __call__(
        self,
        audio: AudioSource,
        emotion: Mixture | Schedule = "neutral",
        intensity: float = 1.0,
        style: Style | None = None,
        fps: float = 30.0,
        motion: Mapping[str, float] | Sequence[str] | str | None = None,
        seed: int | None = None,
        adjustments: Adjustments | None = None,
        max_seconds: float = MAX_SECONDS,
    ) -> FaceClip:
        """Animate speech: a FaceClip of ceil(duration * fps) frames, the first at time 0.

        audio: a path, the bytes of a file, or (sample rate in Hz, array). emotion: one of EMOTIONS, a
        mixture {name: share}, or a schedule [(seconds, name or mixture), ...]. intensity: 0 (neutral) to 1.5.
        style: one of model.style_names, a mixture {name: amount 0..1.5}, somebody who speaks as a FaceClip
        or the Path of a file (see `reference_style`), or None = the default. fps: 1..240. motion: the stages
        of bilabial.motion by name, or as {name: strength}; None = all, () = none. seed: of that motion; None
        = from the sound. adjustments: what is changed afterwards. max_seconds: longest accepted recording.
        Raises FileNotFoundError or ValueError in a sentence.
        """
        fps, strengths = check_fps(fps), check_motion(motion)
        self._warn_of_untrained(emotion, intensity)  # a wrong name fails before the sound is decoded
        style_vector = self._style_vector(style)
        waveform = load_audio(audio, max_seconds)
        rate = self.feature_extractor.sampling_rate
        heard = self._heard(waveform)
        coefficients = self.model.animate(waveform, rate, emotion, intensity, style_vector, fps, heard, False)
        config = self.model.config
        clip = FaceClip(config.blendshapes, coefficients.cpu().numpy(), fps, config.lip_distance_weights)
        clip = enliven(clip, Sound.of(waveform, rate, clip, seed, do_normalize=False), strengths)
        return clip if adjustments is None else adjust(clip, adjustments)

    def stream(
        self,
        emotion: Mixture = "neutral",
        intensity: float = 1.0,
        style: Style | None = None,
        fps: float = 30.0,
        motion: Mapping[str, float] | Sequence[str] | str | None = None,
        seed: int | None = None,
        level_db: float | None = None,
    ) -> FaceStream:
        """A face that speaks along with sound as it comes: see FaceStream, whose `feed` takes it.

        emotion: a name or a mixture, changed on the way by `feel`. style, fps: as in a call. motion: of
        STREAM_MOTIONS, None = all. seed: of that motion, None = by chance. level_db: how loud the speaker
        is (`speech_level_db` of a recording), None = follow it. Raises ValueError in a sentence, also for a
        model whose speech encoder hears whole clips.
        """
        self._warn_of_untrained(emotion, intensity)
        strengths = check_motion(STREAM_MOTIONS if motion is None else motion)
        check_seed(seed)
        seed = random.randrange(2**32) if seed is None else seed
        vector = self._style_vector(style)
        steps, config = model_steps(self.model, vector), self.model.config
        style_vector = vector.float().cpu().numpy()
        return FaceStream(steps, config, emotion, intensity, style_vector, fps, strengths, seed, level_db)

    def reference_style(self, source: FaceClip | str | Path, amount: float = 1.0) -> torch.Tensor:
        """The style vector of somebody who speaks: how far each coefficient moves, and about which mean.

        source: a clip, a Live Link Face CSV, what `FaceClip.to_npz` wrote, or a face video of some seconds
        (needs the extra `capture`; its first 20 s count). amount: 0 = the default style, 1 = that person's,
        up to 1.5. Raises FileNotFoundError, or ValueError for a clip that is too short, lacks names, shows no
        face or one that does not speak.
        """
        amount = as_number(given := amount)
        if not 0.0 <= amount <= MAX_STYLE_AMOUNT:
            raise UserError("reference_amount", limit=MAX_STYLE_AMOUNT, got=given)
        clip = source if isinstance(source, FaceClip) else read_face(as_path(source))
        missing = [name for name in self.model.config.blendshapes if name not in clip.names]
        if missing:
            raise UserError("reference_lacks", missing=missing)
        default = self.model.encode_style(None)
        own = self.model.reference_style(clip.select(self.model.config.blendshapes).values)
        rate = most_openings_a_second(clip)
        if rate < MIN_OPENINGS_HZ:
            raise UserError("reference_silent", rate=rate, least=MIN_OPENINGS_HZ)
        return default + amount * (own - default)

    def _heard(self, waveform: np.ndarray) -> list[torch.Tensor] | None:
        """What the model hears in levelled samples (S,), kept for another mood; None: too much to keep.

        It is kept by samples and weights, which are read (5 ms for 2 million): whatever changed them, be it
        load_state_dict, half() or a hand on `.data`, what was heard before is no answer.
        """
        if len(waveform) > MAX_KEPT_SAMPLES:
            return None
        model, key = self.model, hashlib.sha256(waveform.data)
        encoder = model.encoder if model.config.audio_encoder_config is None else model.audio_encoder
        for name, weights in encoder.state_dict().items():
            key.update(f"{name} {weights.dtype} {tuple(weights.shape)}".encode())
            key.update(weights.cpu().reshape(-1).view(torch.uint8).numpy())
        return self.heard.of(key.digest(), partial(self.model.listen, waveform, do_normalize=False))

    def _style_vector(self, style: Style | None) -> torch.Tensor:
        return self.model.encode_style(
            self.reference_style(style) if isinstance(style, (FaceClip, Path)) else style
        )

    def _warn_of_untrained(self, emotion: Mixture | Schedule, intensity: float) -> None:
        unheard = self.untrained_emotions(emotion, intensity)
        if unheard:
            warnings.warn(str(self.untrained_message(unheard)), UntrainedEmotionWarning, stacklevel=3)

    def untrained_emotions(self, emotion: Mixture | Schedule, intensity: float = 1.0) -> list[str]:
        """Names of the emotions asked for that the model never heard in training; they change nothing."""
        if is_schedule(emotion):
            self.model.encode_schedule(emotion, intensity)
        mixtures = [mixture for _, mixture in emotion] if is_schedule(emotion) else [emotion]
        weights = sum(self.model.encode_emotion(mixture, intensity) for mixture in mixtures).tolist()
        asked = [name for name, weight in zip(self.model.config.emotions, weights, strict=True) if weight > 0]
        return [name for name in asked if name not in self.model.config.trained_emotions]

    def untrained_message(self, names: list[str]) -> UserError:
        """What tells users so: str() is the sentence."""
        return UserError("untrained_emotions", trained=self.model.config.trained_emotions, names=names)


def most_openings_a_second(clip: FaceClip) -> float:
    """How often the lips open and close by OPENING_MM or more, in the SPEAKING_SECONDS with most of it."""
    distance, turns, low, high, rising = clip.lip_distance_mm(), [], 0, 0, None
    for frame, value in enumerate(distance):
        low = frame if value < distance[low] else low
        high = frame if value > distance[high] else high
        if rising is not False and distance[high] - value >= OPENING_MM:
            turns.append(high)
            rising, low = False, frame
        elif rising is not True and value - distance[low] >= OPENING_MM:
            turns.append(low)
            rising, high = True, frame
    seconds = min(SPEAKING_SECONDS, clip.duration_seconds)
    times = np.array(turns) / clip.fps
    return max((np.sum((times >= t) & (times < t + seconds)) for t in times), default=0) / 2 / seconds


def read_face(path: Path) -> FaceClip:
    """A face from a file, by its suffix; what is no file of curves is taken for a video.

    Raises FileNotFoundError or ValueError in a sentence.
    """
    readers = {".csv": FaceClip.from_csv, ".npz": FaceClip.from_npz}
    if path.suffix.lower() in readers:
        return readers[path.suffix.lower()](path)
    try:
        from bilabial.io.capture import reference_clip
    except ImportError as error:
        raise UserError("reference_capture", error=error) from error
    return reference_clip(path)
