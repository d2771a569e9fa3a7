"""Draw a contact sheet: every emotion, at several intensities, on five sounds of one sentence.

    apt-get install flite chromium && python -m tools.draw_emotions --output sheet.png

The sentence is spoken by flite, which knows the times of its phones; the faces are those of their middles. A
.html is an interactive figure, a .png or .svg needs kaleido and a Chrome or Chromium.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from transformers import HfArgumentParser

from bilabial.animator import Animator
from bilabial.clip import FaceClip
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES, EMOTIONS
from bilabial.hub.level_bilabial import SAMPLING_RATE
from bilabial.plots import contact_sheet_figure
from bilabial.training.teachers.synthesizers import speak_flite

SENTENCE = "My father, who feeds the puma."
SOUNDS = ("M", "AA", "UW", "IY", "F")  # closed, open, round, spread, lip under the teeth
FPS = 50.0


@dataclass
class EmotionSheetArguments:
    output: Path = field(metadata={"help": "The .png, .svg or .html to write."})
    model: str | None = field(
        default=None, metadata={"help": "Folder or Hub id; left out: the embedded default."}
    )
    intensities: list[float] = field(
        default_factory=lambda: [0.5, 1.0, 1.5], metadata={"help": "Of the emotions, 0 to 1.5."}
    )


def main(args: EmotionSheetArguments) -> None:
    if args.output.suffix not in (".png", ".svg", ".html"):
        raise SystemExit(f"--output must end in .png, .svg or .html, got {args.output}")
    try:
        animator = Animator.from_pretrained(args.model)
        waveform, _, phones = speak_flite({"text": SENTENCE, "voices": ["slt"], "speed": 1.0})
    except (ValueError, FileNotFoundError) as error:
        raise SystemExit(str(error)) from error
    middles = [next((start + end) / 2 for name, start, end in phones if name == sound) for sound in SOUNDS]
    frames = np.round(np.array(middles) * FPS).astype(int)
    faces = [
        animator((SAMPLING_RATE, waveform), emotion, intensity, fps=FPS, motion=()).values[frames]
        for emotion in EMOTIONS
        for intensity in args.intensities
    ]
    columns = [f"{sound}<br>{intensity:g}" for intensity in args.intensities for sound in SOUNDS]
    weights = animator.model.config.lip_distance_weights
    clip = FaceClip(ARKIT_BLENDSHAPES, np.concatenate(faces), FPS, weights)
    figure = contact_sheet_figure(clip, EMOTIONS, columns, f"“{SENTENCE}” in every emotion and intensity")
    args.output.parent.mkdir(parents=True, exist_ok=True)
    if args.output.suffix == ".html":
        figure.write_html(args.output)
    else:
        figure.write_image(args.output)
    print(f"wrote {args.output}")


if __name__ == "__main__":
    main(HfArgumentParser(EmotionSheetArguments).parse_args_into_dataclasses()[0])
