"""Readers of collections whose faces are recorded curves beside a sound: BEAT and FACEGOOD."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from bilabial.errors import UserError
from bilabial.io.facegood import read_weights
from bilabial.io.media import media_seconds
from bilabial.training.data.corpora.take import Take, files_below, pieces_of, sound_beside
from bilabial.training.data.emotions import emotion_of

BEAT_NAME = r"(\d+)_([A-Za-z]+)_(\d)_(\d+)_(\d+)"  # speaker, name, type of recording, first and last speech
# The speeches of BEAT are ordered by emotion: the last one of each.
BEAT_SPEECHES = {
    64: "neutral", 72: "happiness", 80: "anger", 86: "sadness", 94: "contempt", 102: "surprise",
    110: "fear", 118: "disgust",
}  # fmt: skip


def read_beat(folder: Path) -> Iterator[Take]:
    """BEAT: 1/1_wayne_0_1_8.json (51 coefficients of ARKit, 60 fps) beside 1_wayne_0_1_8.wav, at any depth.

    Liu et al. (2022), ECCV, "BEAT: A large-scale semantic and emotional multi-modal dataset for
    conversational gestures synthesis". For non-commercial use, by its authors. The emotion follows from the
    number of the speech; conversations have the numbers 1 to 12 and are neutral. Raises ValueError for other
    names, for speeches of two emotions in one file, and for curves without a sound.
    """
    for curves in files_below(folder, (".json",)):
        match = re.fullmatch(BEAT_NAME, curves.stem)
        if not match:
            raise UserError("corpus_name", path=curves, example="1_wayne_0_1_8.json")
        number, name, _, first, last = match.groups()
        speaker = f"beat_{number}_{name}"
        take = Take(
            id=f"beat/{curves.stem}",
            video=None,
            emotion=_beat_emotion(int(first), int(last), curves),
            style=speaker,
            speaker=speaker,
            source="BEAT (Liu et al. 2022)",
            license="non-commercial use only",
            curves=curves,
            audio=sound_beside(curves),
        )
        yield from pieces_of(take, media_seconds(take.audio))


def read_facegood(folder: Path) -> Iterator[Take]:
    """FACEGOOD's Mandarin recordings: NAME.npz (see bilabial.io.facegood) beside NAME.flac or NAME.wav.

    MIT. All are for validation: the faces were solved for another rig and are not suitable as labels. Raises
    ValueError for curves without a sound.
    """
    for curves in sorted(folder.resolve().glob("*.npz")):
        take = Take(
            id=f"facegood/{curves.stem}",
            video=None,
            style="facegood",
            speaker="facegood",
            split="validation",
            source="FACEGOOD-Audio2Face, Mandarin",
            license="MIT",
            curves=curves,
            audio=sound_beside(curves),
            mouth_close="mediapipe",  # bilabial.io.facegood makes it so
        )
        yield from pieces_of(take, read_weights(curves).duration_seconds)


def _beat_emotion(first: int, last: int, curves: Path) -> str:
    labels = {
        next((label for end, label in BEAT_SPEECHES.items() if speech <= end), f"speech {speech}")
        for speech in (first, last)
    }
    if len(labels) > 1:
        raise UserError("beat_emotions", path=curves, names=sorted(labels))
    return emotion_of("BEAT", labels.pop(), curves)
