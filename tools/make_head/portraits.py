"""Draw portraits of a head: six faces from two sides, before the page's light and dark background.

    apt-get install chromium && pip install playwright
    python -m tools.make_head.portraits --output docs/head_ada.jpg
    python -m tools.make_head.portraits --head src/bilabial/viewer/head_kofi.glb --output docs/head_kofi.jpg
    python -m tools.make_head.portraits --loop docs/talking.webp --sound speech.flac --size 480
    python -m tools.make_head.portraits --icon src/bilabial/app/static/favicon.png

--loop writes an animation of the speaking head instead, without sound, as WebP, which README files can show.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from transformers import HfArgumentParser

from bilabial.animator import Animator
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES
from bilabial.hub.level_bilabial import SAMPLING_RATE
from bilabial.io.audio import load_audio
from bilabial.io.exporters import HEAD
from tools.make_head.contact_sheet import INK, LABEL_PIXELS, label_font
from tools.make_head.picture import Camera, open_head

SIDES = ("Left", "Right")
# Both sides of a shape without one
FACES = {
    "rest": {},
    "ah": {"jawOpen": 0.55, "mouthLowerDown": 0.2},
    "oo": {"jawOpen": 0.12, "mouthPucker": 0.8, "mouthFunnel": 0.35},
    "f": {"jawOpen": 0.1, "mouthRollLower": 0.55, "mouthUpperUp": 0.25},
    "smile": {"mouthSmile": 0.75, "cheekSquint": 0.4, "mouthUpperUp": 0.25, "mouthLowerDown": 0.25},
    "blink": {"eyeBlink": 1.0},
}
PORTRAITS = ("portrait", "portrait three-quarter")
BACKGROUNDS = ("#eceef0", "#2a303b")  # the middle of the page's, light and dark
LOOP_FPS = 12.5
ICON_PIXELS = 96


@dataclass
class PortraitsArguments:
    output: Path | None = field(default=None, metadata={"help": "The sheet to write, .jpg or .png."})
    loop: Path | None = field(default=None, metadata={"help": "A .webp to write: the head speaks --sound."})
    icon: Path | None = field(default=None, metadata={"help": "A .png to write: the face alone, small."})
    sound: Path | None = field(default=None, metadata={"help": "What it speaks."})
    seconds: float = field(default=6.0, metadata={"help": "Length of the loop."})
    head: Path = field(default=HEAD, metadata={"help": "A GLB whose morph targets have ARKit names."})
    size: int = field(default=200, metadata={"help": "Pixels of a picture's side."})


def coefficients(weights: dict[str, float]) -> np.ndarray:
    """(52,) of weights whose names may leave out the side."""
    values = np.zeros(len(ARKIT_BLENDSHAPES))
    for name, weight in weights.items():
        for full in {name, *(f"{name}{side}" for side in SIDES)} & set(ARKIT_BLENDSHAPES):
            values[ARKIT_BLENDSHAPES.index(full)] = weight
    return values


def draw_portraits(camera: Camera) -> Image.Image:
    """A row per view and background, a column per face."""
    size = camera.size
    sheet = Image.new("RGB", (len(FACES) * size, LABEL_PIXELS + 4 * size), "#ffffff")
    ink = ImageDraw.Draw(sheet)
    for column, (name, weights) in enumerate(FACES.items()):
        ink.text((column * size + 4, 0), name, INK, label_font())
        for row in range(4):
            camera.look(PORTRAITS[row % 2])
            camera.paint(BACKGROUNDS[row // 2])
            sheet.paste(camera(coefficients(weights)), (column * size, LABEL_PIXELS + row * size))
    return sheet


def close_up(picture: Image.Image) -> Image.Image:
    """The head without the shoulders: 68 % of a picture's side."""
    low, high, top = (round(share * picture.width) for share in (0.16, 0.84, 0.06))
    return picture.crop((low, top, high, top + high - low))


def draw_icon(camera: Camera) -> Image.Image:
    """The head at rest."""
    camera.paint(BACKGROUNDS[0])
    face = close_up(camera(coefficients({})))
    return face.resize((ICON_PIXELS, ICON_PIXELS), Image.Resampling.LANCZOS)


def draw_loop(camera: Camera, waveform: np.ndarray, seconds: float) -> list[Image.Image]:
    """Pictures, LOOP_FPS a second, of the head that speaks the first seconds of a waveform (S,) at 16 kHz."""
    clip = Animator.from_pretrained()((SAMPLING_RATE, waveform), fps=LOOP_FPS)
    camera.paint(BACKGROUNDS[0])
    count = min(len(clip), round(seconds * LOOP_FPS))
    return [close_up(camera(clip.values[frame], clip.head[frame])) for frame in range(count)]


def main(args: PortraitsArguments) -> None:
    if sum(map(bool, (args.output, args.loop, args.icon))) != 1:
        raise SystemExit("give one of --output, --loop and --icon")
    if args.loop and not args.sound:
        raise SystemExit("--loop needs --sound, a recording of speech")
    try:
        with open_head(args.size, PORTRAITS[0], args.head) as camera:
            if args.output:
                draw_portraits(camera).save(args.output, quality=88)
                return
            if args.icon:
                draw_icon(camera).save(args.icon)
                return
            first, *others = draw_loop(camera, load_audio(args.sound), args.seconds)
            options = {"duration": round(1000 / LOOP_FPS), "loop": 0, "quality": 60, "method": 6}
            first.save(args.loop, save_all=True, append_images=others, **options)
    except (ValueError, OSError) as error:
        raise SystemExit(f"cannot draw the head: {error}") from error


if __name__ == "__main__":
    main(HfArgumentParser(PortraitsArguments).parse_args_into_dataclasses()[0])
