"""Whether the speech states tell the emotion of a voice: a classifier, tested on other speakers.

    python -m benchmarks.voice_emotion --emodb data/emodb --other data/cremad data/mead

Logistic regression on mean and standard deviation over time of the frozen encoder's states, on EmoDB (ten
German actors), five emotions. Rows: each actor in turn left out; then all of EmoDB, tested on other
recordings, whose names hold the emotion (1001_DFA_ANG_XX, M030_level_3_angry_016, Mark_joy); names without
one of the five are left out. Right: share of recordings; mean recall: over the five emotions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from transformers import HfArgumentParser

from bilabial.checkpoint import load_checkpoint
from bilabial.hub.level_bilabial import LEVEL_FRAME_SAMPLES, QUIET_RANGE_DB, SPEECH_LEVEL_DB
from bilabial.hub.modeling_bilabial import BilabialModel
from bilabial.io.audio import load_audio
from bilabial.training.data.emotions import CORPUS_EMOTIONS

EMOTIONS = ("neutral", "happy", "sad", "angry", "fearful")
BEGINNINGS = {
    "neu": "neutral",
    "hap": "happy",
    "joy": "happy",
    "sad": "sad",
    "ang": "angry",
    "fea": "fearful",
}
PENALTY = 0.01  # inverse of the regularization; of 1e-4, 1e-3 and 1e-2 the best on these actors


@dataclass
class EmotionArguments:
    emodb: Path = field(metadata={"help": "Folder of the Berlin EmoDB."})
    other: list[Path] = field(default_factory=list, metadata={"help": "Folders of other recordings."})
    model: str | None = field(
        default=None, metadata={"help": "Folder or Hub id; left out: the embedded one."}
    )


@dataclass(frozen=True)
class Voice:
    """states: (2 * E,) mean and standard deviation over the frames with speech."""

    states: np.ndarray
    emotion: str
    speaker: str


def read_voice(model: BilabialModel, path: Path, emotion: str, speaker: str) -> Voice:
    waveform = load_audio(path)
    with torch.inference_mode():
        states = torch.cat(model.encode_audio(waveform, do_normalize=False), dim=1)[0].float().numpy()
    count = min(len(states), len(waveform) // LEVEL_FRAME_SAMPLES)
    frames = waveform[: count * LEVEL_FRAME_SAMPLES].reshape(count, -1)
    level_db = 10 * np.log10(np.square(frames, dtype=np.float64).mean(axis=1) + 1e-12)
    spoken = states[:count][level_db > SPEECH_LEVEL_DB - QUIET_RANGE_DB]
    return Voice(np.concatenate([spoken.mean(axis=0), spoken.std(axis=0)]), emotion, speaker)


def emotion_of_name(name: str) -> str | None:
    """The first of the five emotions that a part of a file's name begins with."""
    found = (BEGINNINGS.get(part[:3].lower()) for part in name.split("_"))
    return next((emotion for emotion in found if emotion), None)


def fitted(voices: Sequence[Voice]) -> Pipeline:
    model = LogisticRegression(C=PENALTY, max_iter=1000, class_weight="balanced")
    states, emotions = np.stack([one.states for one in voices]), [one.emotion for one in voices]
    return make_pipeline(StandardScaler(), model).fit(states, emotions)


def row_of(name: str, voices: Sequence[Voice], found: Sequence[str]) -> str:
    right = np.array([one.emotion == emotion for one, emotion in zip(voices, found, strict=True)])
    recalls = [right[[one.emotion == name for one in voices]] for name in EMOTIONS]
    mean = np.mean([recall.mean() for recall in recalls if len(recall)])
    cells = [f"{recall.sum()} of {len(recall)}" for recall in recalls]
    return f"| {name} | {right.mean():.2f} | {mean:.2f} | {' | '.join(cells)} |"


def main(args: EmotionArguments) -> None:
    model, _ = load_checkpoint(args.model)
    voices = []
    for path in sorted(args.emodb.rglob("*.flac")) + sorted(args.emodb.rglob("*.wav")):
        emotion = CORPUS_EMOTIONS["EmoDB"].get(path.stem[5:6])
        if emotion in EMOTIONS:  # boredom (calm) and disgust are left out
            voices.append(read_voice(model, path, emotion, path.stem[:2]))
    found = {}
    for speaker in sorted({one.speaker for one in voices}):
        classifier = fitted([one for one in voices if one.speaker != speaker])
        for number, one in enumerate(voices):
            if one.speaker == speaker:
                found[number] = classifier.predict(one.states[None])[0]
    print(f"| test | right | mean recall | {' | '.join(EMOTIONS)} |\n" + "|---" * 8 + "|")
    print(row_of("EmoDB, each actor left out", voices, [found[n] for n in range(len(voices))]))
    classifier = fitted(voices)
    for folder in args.other:
        paths = [
            path for path in sorted(folder.rglob("*")) if path.suffix in (".flac", ".flv", ".mp4", ".wav")
        ]
        others = [read_voice(model, p, e, "") for p in paths if (e := emotion_of_name(p.stem))]
        if others:
            said = classifier.predict(np.stack([one.states for one in others]))
            print(row_of(folder.name, others, said))


if __name__ == "__main__":
    main(HfArgumentParser(EmotionArguments).parse_args_into_dataclasses()[0])
