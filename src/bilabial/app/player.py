"""Data of the page's player: sound and all frames, for the 3D head and the plots of static/."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np

from bilabial.app.comparison import Comparison
from bilabial.app.i18n import TEXTS
from bilabial.app.npm import DECODERS, MEDIABUNNY, PACKAGES
from bilabial.clip import FaceClip
from bilabial.head_motion import pack_head
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES
from bilabial.hub.level_bilabial import SAMPLING_RATE
from bilabial.io.audio import encode_m4a
from bilabial.io.exporters import HEAD
from bilabial.io.names import SPELLINGS
from bilabial.plots import sealed_stretches

STATIC = Path(__file__).parent / "static"
HEADS = {"Ada": HEAD, "Kofi": HEAD.with_name("head_kofi.glb")}  # to choose from, the first is shown
BUNDLE = STATIC / "bundle.js"  # of static/main.js and all it imports, three.js too: `make bundle`
WORKER = STATIC / "worker.js"  # of js/src/worker.js, likewise: runs the model for live mode
MICROPHONE = STATIC / "microphone-worklet.js"  # of js/src, likewise: its sound at 16 kHz
LIP_STEPS_PER_MM = 100
NO_FACE = 65535  # instead of a captured lip distance
PEAKS_HZ = 50
NO_SOUND = 0.01  # peaks below it are not scaled up


def served_files() -> list[Path]:
    """Files that the page fetches: scripts, the heads, and those of npm packages that are installed."""
    packaged = (path for package in PACKAGES for path in package.files())
    return [BUNDLE, WORKER, MICROPHONE, *HEADS.values(), *packaged]


def player_props(file_address: str | None) -> dict:
    """URLs of the page's files, its Chinese texts, the spellings of names.

    file_address: prefix of the path of a served file; None: nothing is served.
    """
    return {
        "decoders": DECODERS.source(file_address),
        "mediabunny": MEDIABUNNY.source(file_address),
        "head_address": f"{file_address}{HEAD}",
        "heads": {name: f"{file_address}{path}" for name, path in HEADS.items()} if file_address else {},
        "texts": TEXTS,
        "spellings": SPELLINGS,
    }


def player_data(clip: FaceClip, waveform: np.ndarray, comparison: Comparison | None = None) -> dict:
    """The component's value, about 0.75 MB for a minute at 30 fps.

    waveform: (S,) float32 at 16 kHz. audio is a data address of AAC in MP4. The arrays are base64. Of
    little-endian uint16: frames (T, C), 65535 = 1; lips (T,), the lip distance in 0.01 mm. Of uint8: peaks,
    the loudest sample of every 1 / peaks_hz seconds, 255 = the loudest of all. closed: start and end in
    seconds of each stretch of closed lips. captured: null, or the lips of a video like those of the clip,
    NO_FACE where none was seen, with the r and offset_ms of Comparison. head: null, or (T, 3) of
    little-endian int16, FaceClip.head in 0.01 degrees.
    """
    captured = comparison and {
        "lips": _packed_lips(comparison.distance_mm),
        "r": comparison.r,
        "offset_ms": comparison.offset_ms,
    }
    return {
        "audio": f"data:audio/mp4;base64,{_base64(encode_m4a(waveform))}",
        "names": list(clip.names),
        "fps": clip.fps,
        "frames": _packed(clip.values * 65535),
        "lips": _packed_lips(clip.lip_distance_mm()),
        "closed": sealed_stretches(clip.lip_distance_mm(), clip.fps),
        "captured": captured,
        "head": None if clip.head is None else pack_head(clip.head),
        "peaks": _base64(_peaks(waveform)),
        "peaks_hz": PEAKS_HZ,
    }


def _packed(values: np.ndarray) -> str:
    return _base64(np.clip(np.round(values), 0, 65535).astype("<u2").tobytes())


def _packed_lips(distance_mm: np.ndarray) -> str:
    """(T,) in mm, NaN = no face."""
    return _packed(np.nan_to_num(np.minimum(distance_mm * LIP_STEPS_PER_MM, NO_FACE - 1), nan=NO_FACE))


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _peaks(waveform: np.ndarray) -> bytes:
    """Peaks for the picture of a waveform."""
    step = SAMPLING_RATE // PEAKS_HZ
    peaks = np.pad(np.abs(waveform), (0, -len(waveform) % step)).reshape(-1, step).max(axis=1)
    return np.round(peaks / max(peaks.max(), NO_SOUND) * 255).astype(np.uint8).tobytes()


def write_page(clip: FaceClip, waveform: np.ndarray, path: str | Path) -> Path:
    """Write one HTML file that plays the clip: the head, the sound (S,) at 16 kHz and all frames are in it.

    Only the MP4 writer and the avatar decoder are loaded from jsDelivr, verified, on demand. Returns the
    path.
    """
    props = player_props(None) | {
        "value": player_data(clip, waveform),
        "names": list(ARKIT_BLENDSHAPES),
        "head_address": f"data:model/gltf-binary;base64,{_base64(HEAD.read_bytes())}",
    }
    given = json.dumps(props).replace("</", "<\\/")  # escaped so that nothing ends the script
    player, style = (STATIC / "player.html").read_text(), (STATIC / "player.css").read_text()
    path = Path(path)
    path.write_text(
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>Bilabial</title>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        "<style>body { margin: 0 auto; padding: 12px; max-width: 900px; font-family: sans-serif }\n"
        f"#player {{ {style} }}</style></head><body><div id='player'>{player}</div>"
        f"<script>{BUNDLE.read_text(encoding='utf-8')}</script><script>\n"
        f"bilabial.mountPlayer({{ element: document.querySelector('#player'), watch: () => {{}},\n"
        f"props: {given} }});</script></body></html>",
        encoding="utf-8",
    )
    return path
