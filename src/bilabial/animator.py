"""Animator: speech to a FaceClip, the call that most users need."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from bilabial.cache import ResultCache
from bilabial.checkpoint import load_checkpoint
from bilabial.clip import FaceClip
from bilabial.errors import UntrainedEmotionWarning as UntrainedEmotionWarning  # part of the API here
from bilabial.errors import UserError, as_number, as_path
from bilabial.hub.blendshapes_bilabial import check_fps
from bilabial.hub.expression_bilabial import MAX_STYLE_AMOUNT, Mixture, Schedule
from bilabial.hub.feature_extraction_bilabial import BilabialFeatureExtractor
from bilabial.hub.level_bilabial import SAMPLING_RATE
from bilabial.hub.modeling_bilabial import BilabialModel
from bilabial.incremental import model_steps
from bilabial.io.alignment import Transcript, align_transcript
from bilabial.io.audio import MAX_SECONDS, AudioSource, load_audio
from bilabial.io.recordings import CURVE_SUFFIXES, read_recording
from bilabial.io.timing_files import TimingSource, as_timing
from bilabial.io.timings import Timing
from bilabial.motion import Adjustments, Sound, add_motion, adjust, check_motion
from bilabial.streaming import FaceSettings, FaceStream
from bilabial.timing import TimingWarning, follow_timing
from bilabial.untrained import untrained_emotions, warn_of_untrained

CACHE_BYTES = 128 * 2**20  # cache of speech states: 23 MB for two minutes of sound
CACHE_SECONDS = 600.0
MAX_CACHED_SAMPLES = 600 * SAMPLING_RATE  # of a sound whose states fit into the cache
# Closures per second, in the best few seconds, that count as speech. Captured speech: 1.4 to 3 a second; a
# range-of-motion recording of an iPhone: 0.3.
MIN_OPENINGS_HZ, OPENING_MM, SPEAKING_SECONDS = 0.8, 1.0, 3.0
Style = str | Mapping[str, float] | FaceClip | Path | torch.Tensor


class Animator:
    """A loaded model, ready to animate.

    model, feature_extractor: the two transformers objects. speech_states: cache of speech states, at most 128
    MB, for ten minutes.
    """

    def __init__(self, model: BilabialModel, feature_extractor: BilabialFeatureExtractor):
        self.model = model
        self.feature_extractor = feature_extractor
        # the same sound with another emotion needs no encoder pass
        self.speech_states: ResultCache[list[torch.Tensor]] = ResultCache(CACHE_BYTES, CACHE_SECONDS)

    @classmethod
    def from_pretrained(cls, source: str | Path | None = None, revision: str | None = None) -> Animator:
        """Load a model: None = the embedded default, "live" = the embedded one of less delay in streams,
        else a folder or a Hub id (at a revision).

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
        timing: TimingSource | None = None,
    ) -> FaceClip:
        """Animate speech: a FaceClip of ceil(duration * fps) frames, the first at time 0.

        audio: a path, the bytes of a file, or (sample rate in Hz, array). emotion: one of EMOTIONS, a mixture
        {name: share}, or a schedule [(seconds, name or mixture), ...]. intensity: 0 (neutral) to 1.5. style:
        one of model.style_names, a mixture {name: amount 0..1.5}, a reference as a FaceClip or the Path of a
        file (see `reference_style`), or None = the default. fps: 1..240. motion: the stages of
        bilabial.motion by name, or as {name: strength}; None = all, () = none. seed: of that motion; None =
        from the sound. adjustments: applied last. max_seconds: longest accepted recording. timing: known
        phones, words or visemes with times, a file or what `as_timing` takes; lips close at these times
        (`bilabial.timing`), and a `TimingWarning` reports what does not fit. A str of English words, or a
        text file, is aligned with the sound (extra `align`). Raises FileNotFoundError or ValueError.
        """
        fps, strengths = check_fps(fps), check_motion(motion)
        warn_of_untrained(self.settings, emotion, intensity)  # a wrong name fails before the sound is decoded
        style_vector = self._style_vector(style)
        known = None if timing is None else as_timing(timing)
        waveform = load_audio(audio, max_seconds)
        rate = self.feature_extractor.sampling_rate
        speech_states = self._speech_states(waveform)
        coefficients = self.model.animate(
            waveform, rate, emotion, intensity, style_vector, fps, speech_states, False
        )
        config = self.model.config
        clip = FaceClip(config.blendshapes, coefficients.cpu().numpy(), fps, config.lip_distance_weights)
        sound = Sound.of(waveform, rate, clip, seed, do_normalize=False)
        if isinstance(known, Transcript):
            known = _aligned(waveform, known)
        if known is not None:
            clip = follow_timing(clip, known, len(waveform) / rate, sound.speaking)
        clip = add_motion(clip, sound, strengths)
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
        """A stream: frames while sound arrives, see FaceStream and its `feed`.

        emotion: a name or a mixture, changed on the way by `set_emotion`. style, fps: as in a call. motion:
        of STREAM_MOTIONS, None = all. seed: of that motion, None = random. level_db: level of the speaker
        (`speech_level_db` of a recording), None = estimated while streaming. Raises ValueError, also for a
        model whose speech encoder needs whole clips.
        """
        warn_of_untrained(self.settings, emotion, intensity)
        vector = self._style_vector(style)
        steps, config = model_steps(self.model, vector), self.model.config
        style_vector = vector.float().cpu().numpy()
        return FaceStream(steps, config, emotion, intensity, style_vector, fps, motion, seed, level_db)

    @property
    def settings(self) -> FaceSettings:
        """Names and numbers of the model, by the names that `OnnxAnimator.settings` has, too."""
        return self.model.config

    def reference_style(self, source: FaceClip | str | Path, amount: float = 1.0) -> torch.Tensor:
        """The style vector of a reference: mean and amplitude of each coefficient.

        source: a clip, recorded curves (CSV, NPZ, JSON; Live Link Face among them), or a face video of some
        seconds (needs the extra `capture`; the first 20 s are used). amount: 0 = the default style, 1 = the
        reference, up to 1.5. Raises FileNotFoundError, or ValueError for a clip that is too short, lacks
        names, or has no speaking face.
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

    def _speech_states(self, waveform: np.ndarray) -> list[torch.Tensor] | None:
        """Speech states of normalized samples (S,), from the cache; None: too long for it.

        The cache key is a hash of samples and weights (5 ms for 2 million), so that any change of the weights
        (load_state_dict, half(), writing to `.data`) invalidates it.
        """
        if len(waveform) > MAX_CACHED_SAMPLES:
            return None
        model, key = self.model, hashlib.sha256(waveform.data)
        encoder = model.encoder if model.config.audio_encoder_config is None else model.audio_encoder
        for name, weights in encoder.state_dict().items():
            key.update(f"{name} {weights.dtype} {tuple(weights.shape)}".encode())
            key.update(weights.cpu().reshape(-1).view(torch.uint8).numpy())
        return self.speech_states.of(
            key.digest(), partial(self.model.encode_audio, waveform, do_normalize=False)
        )

    def _style_vector(self, style: Style | None) -> torch.Tensor:
        return self.model.encode_style(
            self.reference_style(style) if isinstance(style, (FaceClip, Path)) else style
        )

    def untrained_emotions(self, emotion: Mixture | Schedule, intensity: float = 1.0) -> list[str]:
        """Requested emotions that were not in the training data; they change nothing."""
        return untrained_emotions(self.settings, emotion, intensity)


def _aligned(waveform: np.ndarray, transcript: Transcript) -> Timing | None:
    """The times of a transcript in samples (S,); None with a warning where it does not fit the sound."""
    try:
        return align_transcript(waveform, transcript)
    except UserError as error:
        if error.code != "transcript_unfit":
            raise
        warnings.warn(str(error), TimingWarning, stacklevel=3)
        return None


def most_openings_a_second(clip: FaceClip) -> float:
    """Openings and closings of OPENING_MM or more per second, in the best SPEAKING_SECONDS."""
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
    """A face from a file, by its suffix; files other than curves are read as video.

    Raises FileNotFoundError or ValueError.
    """
    if path.suffix.lower() in CURVE_SUFFIXES:
        return read_recording(path)
    try:
        from bilabial.io.capture import reference_clip
    except ImportError as error:
        raise UserError("reference_capture", error=error) from error
    return reference_clip(path)
