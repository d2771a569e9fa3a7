"""Draw a contact sheet of the 3D head: how it says oo, ee, ah, f, sh, th and m, or a whole sentence.

    apt-get install flite chromium && pip install playwright
    python -m tools.make_head.contact_sheet --output sheet.png
    python -m tools.make_head.contact_sheet --output sheet.png --sounds talk.mp4 voice.wav --clips clips.json
    python -m tools.make_head.contact_sheet --output frames.png --sounds voice.wav --fps 12

Columns are voices: three of flite, which knows the times of its phones, that say one sentence with all these
sounds, and each file of --sounds. A tile is the face in the middle of the sound; beside that of a video
stands its filmed frame. With --fps each voice is drawn from beginning to end instead, so many tiles a second.

Phone times of files are those of --clips, {name without suffix: {"phones": [[name, start, end], ...],
"av_offset_ms": number}} in seconds of the sound, or a phone recognizer's (pip install hama==1.7.0).
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps
from transformers import HfArgumentParser

from bilabial.animator import Animator
from bilabial.clip import FaceClip
from bilabial.hub.level_bilabial import SAMPLING_RATE
from bilabial.io.audio import decode_audio
from bilabial.io.media import open_media
from bilabial.io.phones import Phone, ipa_of, seals_lips
from bilabial.training.teachers.phone_times import find_spikes, load_recognizer, phones_of_spikes
from bilabial.training.teachers.synthesizers import speak_flite
from tools.make_head.picture import VIEWS, Draw, open_head

SENTENCE = "My father and two thin sheep move the fish."
VOICES = ("slt", "rms", "awb")
# Row -> IPA of its phones, the first that a voice says is shown
ROWS = {
    "oo": ("u", "uː", "ʊ", "w", "oʊ"), "ee": ("i", "iː", "j", "ɪ"), "ah": ("ɑ", "ɑː", "a", "aː", "æ", "aɪ"),
    "f": ("f", "v"), "sh": ("ʃ", "ʒ", "tʃ", "dʒ", "ʂ", "ɕ"), "th": ("θ", "ð"), "m": ("m", "b", "p"),
}  # fmt: skip
FPS = 50.0  # of the animation that tiles are taken from
MAX_TILES = 400
LABEL_PIXELS = 14
INK, SEALED_INK, PAPER = "#202020", "#b00020", "#ffffff"


@dataclass
class ContactSheetArguments:
    output: Path = field(metadata={"help": "The .png or .jpg to write."})
    model: str | None = field(
        default=None, metadata={"help": "Folder or Hub id; left out: the embedded default."}
    )
    sounds: list[Path] = field(
        default_factory=list, metadata={"help": "Sound or video files, a column each."}
    )
    voices: list[str] = field(
        default_factory=lambda: list(VOICES), metadata={"help": "Voices of flite; 'none' for none."}
    )
    clips: Path | None = field(
        default=None, metadata={"help": "JSON with phones and AV offsets of --sounds by name."}
    )
    fps: float | None = field(
        default=None, metadata={"help": "Tiles a second of whole sentences instead of single sounds."}
    )
    style: str | None = field(default=None, metadata={"help": "A style of the model; left out: its default."})
    view: str = field(default="front", metadata={"help": f"One of {', '.join(VIEWS)}."})
    size: int = field(default=200, metadata={"help": "Pixels of a tile's side."})
    head: Path | None = field(default=None, metadata={"help": "Another GLB; left out: the page's head."})


@dataclass(frozen=True, eq=False)
class Voice:
    """One column: a waveform (S,) at 16 kHz, its phones, and the video that it is from, if any.

    offset_seconds: what is added to a time of the sound for that of the lips in the video.
    """

    name: str
    waveform: np.ndarray
    phones: list[Phone]
    video: Path | None = None
    offset_seconds: float = 0.0


@dataclass(frozen=True)
class Tile:
    """One picture of a voice: at a time of its sound, with a label; sealed: lips should meet here."""

    voice: int
    seconds: float
    label: str
    sealed: bool


def read_voices(args: ContactSheetArguments) -> list[Voice]:
    """The columns. Raises FileNotFoundError or ValueError."""
    spoken = [] if args.voices == ["none"] else [speak(name) for name in args.voices]
    known = json.loads(args.clips.read_text(encoding="utf-8")) if args.clips else {}
    recognizer = None
    for path in args.sounds:
        (waveform, start_seconds), clip = decode_audio(path), known.get(path.stem, {})
        if "phones" in clip:
            phones = [(str(name), float(start), float(end)) for name, start, end in clip["phones"]]
        else:
            recognizer = recognizer or load_recognizer()
            found = phones_of_spikes(find_spikes(recognizer, waveform), waveform)
            phones = [(phone["name"], phone["start"], phone["end"]) for phone in found]
        with open_media(path) as container:
            video = path if container.streams.video else None
        offset = start_seconds + float(clip.get("av_offset_ms", 0.0)) / 1000
        spoken.append(Voice(path.stem, waveform, phones, video, offset))
    if not spoken:
        raise ValueError("there is no voice to draw; give --sounds or --voices")
    return spoken


def speak(voice: str) -> Voice:
    """The sentence in a voice of flite."""
    waveform, _, phones = speak_flite({"text": SENTENCE, "voices": [voice], "speed": 1.0})
    return Voice(f"flite {voice}", waveform, [tuple(phone) for phone in phones])


def pick_phone(phones: Iterable[Phone], wanted: tuple[str, ...]) -> Phone | None:
    """The longest phone of the first wanted IPA name that is said; None where none is."""
    phones = list(phones)
    for ipa in wanted:
        said = [phone for phone in phones if ipa_of(phone[0]) == ipa]
        if said:
            return max(said, key=lambda phone: phone[2] - phone[1])
    return None


def tiles_of_sounds(voices: list[Voice]) -> list[list[Tile | None]]:
    """A row per sound of ROWS, a column per voice; None where a voice does not say it."""
    rows = []
    for label, wanted in ROWS.items():
        row: list[Tile | None] = []
        for number, voice in enumerate(voices):
            phone = pick_phone(voice.phones, wanted)
            middle = phone and (phone[1] + phone[2]) / 2
            row.append(
                phone and Tile(number, middle, f"{label}: {phone[0]} {middle:.2f} s", seals_lips(phone[0]))
            )
        rows.append(row)
    return rows


def tiles_of_sentences(voices: list[Voice], fps: float) -> list[list[Tile | None]]:
    """Rows of a second of each voice from beginning to end; labels name the phone, sealed ones are marked."""
    width, rows = max(1, round(fps)), []
    for number, voice in enumerate(voices):
        times = np.arange(int(len(voice.waveform) / SAMPLING_RATE * fps)) / fps
        tiles: list[Tile | None] = []
        for seconds in times:
            name = next((name for name, start, end in voice.phones if start <= seconds < end), "")
            sealed = bool(name) and seals_lips(name)
            tiles.append(Tile(number, float(seconds), f"{seconds:.2f} {name}", sealed))
        rows += [tiles[start : start + width] for start in range(0, len(tiles), width)]
    return rows


def film(voice: Voice, seconds: Iterable[float], size: int) -> list[Image.Image | None]:
    """The filmed frames at times of the sound, cut to the lower half of the face where one is found."""
    if voice.video is None:
        return [None for _ in seconds]
    from bilabial.io.capture import find_landmarker
    from bilabial.io.faces import find_faces
    from bilabial.io.video import decode_frames

    wanted = [max(0.0, time + voice.offset_seconds) for time in seconds]
    nearest: list[tuple[float, np.ndarray] | None] = [None] * len(wanted)
    for time, image in decode_frames(voice.video):
        for k, goal in enumerate(wanted):
            if nearest[k] is None or abs(time - goal) < abs(nearest[k][0] - goal):
                nearest[k] = (time, image)
    shown = sorted(dict(filter(None, nearest)).items())
    boxes = {
        time: max((face.box for face in faces), key=lambda box: box[3] - box[1])
        for time, faces in find_faces(iter(shown), find_landmarker())
        if faces
    }
    return [found and crop(found[1], boxes.get(found[0]), size) for found in nearest]


def crop(image: np.ndarray, box: np.ndarray | None, size: int) -> Image.Image:
    """image: (H, W, 3) uint8; box: left, top, right and bottom of a face, None = the whole picture."""
    picture = Image.fromarray(image)
    if box is not None:
        side = 0.75 * (box[3] - box[1])
        left, top = (box[0] + box[2] - side) / 2, box[3] - 0.9 * side
        picture = picture.crop((round(left), round(top), round(left + side), round(top + side)))
    return ImageOps.pad(picture, (size, size), color=INK)


def draw_contact_sheet(
    rows: list[list[Tile | None]], voices: list[Voice], clips: list[FaceClip], draw: Draw, size: int
) -> Image.Image:
    """The sheet: of each tile the head, and beside it the film where the voice has one."""
    tiles = [tile for row in rows for tile in row if tile]
    films: dict[Tile, Image.Image | None] = {}
    for number, voice in enumerate(voices):
        own = [tile for tile in tiles if tile.voice == number]
        films |= dict(zip(own, film(voice, [tile.seconds for tile in own], size), strict=True))
    pictures = {tile: [pose(clips[tile.voice], tile, draw)] for tile in tiles}
    for tile, filmed in films.items():
        pictures[tile] += [filmed] if filmed else []
    columns = [
        max((len(pictures[row[c]]) for row in rows if c < len(row) and row[c]), default=1)
        for c in range(max(map(len, rows)))
    ]
    places = np.concatenate([[0], np.cumsum(columns)])
    sheet = Image.new("RGB", (int(places[-1]) * size, len(rows) * (size + LABEL_PIXELS)), PAPER)
    pen, font = ImageDraw.Draw(sheet), label_font()
    for r, row in enumerate(rows):
        for c, tile in enumerate(row):
            if tile is None:
                continue
            x, y = int(places[c]) * size, r * (size + LABEL_PIXELS)
            label = f"{tile.label} {voices[tile.voice].name}"
            while pen.textlength(label, font=font) > len(pictures[tile]) * size - 4:
                label = label[:-1]
            pen.text((x + 2, y), label, fill=SEALED_INK if tile.sealed else INK, font=font)
            for k, picture in enumerate(pictures[tile]):
                sheet.paste(picture, (x + k * size, y + LABEL_PIXELS))
    return sheet


def label_font() -> ImageFont.FreeTypeFont:
    """A font with the signs of the IPA where the system has one."""
    try:
        return ImageFont.truetype("DejaVuSans.ttf", LABEL_PIXELS - 4)
    except OSError:
        return ImageFont.load_default(LABEL_PIXELS - 3)


def pose(clip: FaceClip, tile: Tile, draw: Draw) -> Image.Image:
    """The head at the frame nearest to a tile's time."""
    return draw(clip.values[min(round(tile.seconds * clip.fps), len(clip.values) - 1)])


def main(args: ContactSheetArguments) -> None:
    if args.output.suffix not in (".png", ".jpg"):
        raise SystemExit(f"--output must end in .png or .jpg, got {args.output}")
    if args.fps is not None and not 1 <= args.fps <= FPS:
        raise SystemExit(f"--fps must be 1 to {FPS:g}, got {args.fps}")
    try:
        voices = read_voices(args)
        rows = tiles_of_sounds(voices) if args.fps is None else tiles_of_sentences(voices, args.fps)
        if sum(map(len, rows)) > MAX_TILES:
            raise ValueError(
                f"that is {sum(map(len, rows))} tiles, at most {MAX_TILES} are drawn; shorten or slow down"
            )
        animator = Animator.from_pretrained(args.model)
        clips = [
            animator((SAMPLING_RATE, voice.waveform), style=args.style, fps=FPS, motion=())
            for voice in voices
        ]
        with open_head(args.size, args.view, *([args.head] if args.head else [])) as draw:
            sheet = draw_contact_sheet(rows, voices, clips, draw, args.size)
    except (ValueError, OSError) as error:
        raise SystemExit(str(error)) from error
    args.output.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(args.output)
    print(f"wrote {args.output}")


if __name__ == "__main__":
    main(HfArgumentParser(ContactSheetArguments).parse_args_into_dataclasses()[0])
