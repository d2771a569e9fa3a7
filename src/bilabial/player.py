"""What the page's player is made of: the sound, the curves and every frame for the 3D head of viewer/.

three.js is no part of this package. It is served from the virtual environment when it was installed there (by
`make demo`, with npm), and comes from jsDelivr otherwise; the page checks each file against the sums below.
"""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path

import numpy as np

from bilabial.audio import encode_wav
from bilabial.clip import FaceClip
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES
from bilabial.plots import curves_figure

VIEWER = Path(__file__).parent / "viewer"
SCRIPTS = ("three.js", "head.js", "curves.js", "player.js")  # one script: later files use the earlier ones
HEAD = VIEWER / "head.glb"
THREE_VERSION = "0.187.0"
THREE_CDN = f"https://cdn.jsdelivr.net/npm/three@{THREE_VERSION}"
THREE_FOLDER = Path(sys.prefix) / "three" / "node_modules" / "three"
# Each file before those that import it, with its sum: openssl dgst -sha384 -binary FILE | base64
THREE_MODULES = {
    "build/three.core.js": "sha384-drH6BueSlcvoXCwAqWkNJvXwu2Ax3mnGOmZnIXaomedIw+uXSP9Bf/XIUINgLUW+",
    "build/three.module.js": "sha384-T/E3B9AvPtLn5PKD7aTSFqizQcA4kHDfU0lub7u0fvM4w9BMGcSb3yI7r5LqMAMn",
    "examples/jsm/utils/BufferGeometryUtils.js":
        "sha384-NArny884Zj3HwjLRjeY1kbfLZnAHIElzho3N71FW0eMGxxBT+QuLEiSnSgpSaBXh",
    "examples/jsm/utils/SkeletonUtils.js":
        "sha384-Pozn8j5+YFr3ak8Pm90ayqDrGYn/DV7vVs/YIIqzJhzeJT0LQksoS1fZQ5lfsYlw",
    "examples/jsm/loaders/GLTFLoader.js":
        "sha384-WH6tljjFikpYMGa2JMqlbJlM1lEMkd/Y6Sqnuog1rX87eShphltUQI5NKByEo4CP",
    "examples/jsm/controls/OrbitControls.js":
        "sha384-ZVBN/wmVxgX0mUGjFJXakzzdZrAF4g4aHfKyusbjoF0WsVXSoGpeM/qRaVnXtaFo",
    "examples/jsm/environments/RoomEnvironment.js":
        "sha384-/H49oz0ZtMgJNgMZ+OhhuMuKBOsaiC3kY0/PZSvgJJXAOJJwmSBJjzlV5lJul3MB",
}  # fmt: skip


def local_three() -> Path | None:
    """The folder of the installed three.js, or None when it is missing or of another version."""
    package = THREE_FOLDER / "package.json"
    if package.is_file() and json.loads(package.read_text())["version"] == THREE_VERSION:
        return THREE_FOLDER
    return None


def served_files() -> list[Path]:
    """Files that the page fetches: the head, and three.js where it is installed."""
    folder = local_three()
    return [HEAD, *(folder / name for name in THREE_MODULES)] if folder else [HEAD]


def player_script() -> str:
    """The JavaScript of the component (js_on_load)."""
    return "\n".join((VIEWER / name).read_text() for name in SCRIPTS)


def player_props(file_address: str) -> dict:
    """Where the page finds what it fetches. file_address: what stands before the path of a served file."""
    folder = local_three()
    return {
        "three": {"base": f"{file_address}{folder}" if folder else THREE_CDN, "modules": THREE_MODULES},
        "head_address": f"{file_address}{HEAD}",
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

    So is three.js where it is installed; else the page takes it, checked, from jsDelivr. Returns the path.
    """
    head = base64.b64encode(HEAD.read_bytes()).decode()
    props = player_props("") | {
        "value": player_data(clip, waveform) | {"figure": None},
        "names": list(ARKIT_BLENDSHAPES),
        "head_address": f"data:model/gltf-binary;base64,{head}",
    }
    folder = local_three()
    if folder:
        props["three"] |= {
            "base": THREE_CDN,
            "texts": {name: (folder / name).read_text() for name in THREE_MODULES},
        }
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
