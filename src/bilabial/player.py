"""What the page's player is made of: the sound, the curves and every frame for the 3D head of viewer/."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np

from bilabial.audio import encode_wav
from bilabial.clip import FaceClip
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES
from bilabial.npm import MEDIABUNNY, PACKAGES, THREE
from bilabial.plots import curves_figure
from bilabial.translation import TEXTS

VIEWER = Path(__file__).parent / "viewer"
# one script: later files use the earlier ones
SCRIPTS = ("texts.js", "modules.js", "morphs.js", "head.js", "record.js", "curves.js", "player.js")
HEAD = VIEWER / "head.glb"


def served_files() -> list[Path]:
    """Files that the page fetches: the head, and those of npm packages that are installed."""
    return [HEAD, *(path for package in PACKAGES for path in package.files())]


def player_script() -> str:
    """The JavaScript of the component (js_on_load)."""
    return "\n".join((VIEWER / name).read_text() for name in SCRIPTS)


def player_props(file_address: str | None) -> dict:
    """Where the page finds what it fetches, and its Chinese texts.

    file_address: what stands before the path of a served file; None: nothing is served.
    """
    return {
        "three": THREE.source(file_address),
        "mediabunny": MEDIABUNNY.source(file_address),
        "head_address": f"{file_address}{HEAD}",
        "texts": TEXTS,
    }


def player_data(clip: FaceClip, waveform: np.ndarray) -> dict:
    """The component's value: sound (a data address), names, fps, curves (plotly) and all frames.

    waveform: (S,) float32 at 16 kHz. frames is base64 of (T, C) little-endian uint16, 65535 = 1.
    """
    sound = base64.b64encode(encode_wav(waveform)).decode()
    frames = np.round(clip.values * 65535).astype("<u2").tobytes()
    return {
        "audio": f"data:audio/wav;base64,{sound}",
        "names": list(clip.names),
        "fps": clip.fps,
        "frames": base64.b64encode(frames).decode(),
        "figure": json.loads(curves_figure(clip).to_json()),
    }


def write_page(clip: FaceClip, waveform: np.ndarray, path: str | Path) -> Path:
    """Write one HTML file that plays the clip: the head, the sound (S,) at 16 kHz and all frames are in it.

    So is three.js where it is installed; else the page takes it, checked, from jsDelivr, as it takes what an
    MP4 needs when someone asks for one. Returns the path.
    """
    head = base64.b64encode(HEAD.read_bytes()).decode()
    props = player_props(None) | {
        "value": player_data(clip, waveform) | {"figure": None},
        "names": list(ARKIT_BLENDSHAPES),
        "head_address": f"data:model/gltf-binary;base64,{head}",
    }
    files = zip(THREE.modules, THREE.files(), strict=False)  # no files where it is not installed
    props["three"]["texts"] = {name: path.read_text() for name, path in files}
    given = json.dumps(props).replace("</", "<\\/")  # nothing in it ends the script
    player, style = (VIEWER / "player.html").read_text(), (VIEWER / "player.css").read_text()
    path = Path(path)
    path.write_text(
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>Bilabial</title>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        "<style>body { margin: 0 auto; padding: 12px; max-width: 900px; font-family: sans-serif }\n"
        f"#player {{ {style} }}</style></head><body><div id='player'>{player}</div><script type='module'>\n"
        f"const element = document.querySelector('#player'), props = {given}, watch = () => {{}};\n"
        f"{player_script()}</script></body></html>",
        encoding="utf-8",
    )
    return path
