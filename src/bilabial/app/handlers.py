"""Handlers of the page's buttons and of the API: plain values in and out."""

from __future__ import annotations

import json
import secrets
import time
import warnings
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TypeVar

import bilabial
from bilabial.app.animation import (
    FOLDER,
    AnimationRequest,
    Speech,
    Step,
    comparison_steps,
    parse_emotion,
    parse_schedule,
    results,
    steps,
)
from bilabial.app.comparison import Comparison
from bilabial.app.folders import new_folder
from bilabial.app.i18n import translate
from bilabial.app.player import HEAD, player_data, write_page
from bilabial.errors import UserError
from bilabial.io.exporters import to_glb, to_json
from bilabial.io.formats import FORMATS as CLIP_FORMATS
from bilabial.io.formats import WriteOptions, write_clip
from bilabial.plots import sealed_stretches
from bilabial.rig import RigProfile, RigWarning

import gradio as gr  # isort: skip  # after animation.py, which says where its files go

Result = TypeVar("Result")
PROGRESS = gr.Progress()
EXAMPLE = Path(bilabial.__file__).parent / "examples" / "english_woman.flac"
DEFAULT_MOTION = ("blink", "gaze", "brows", "breath", "head")
FORMATS = {
    "csv": "Live Link CSV", "npz": "NPZ (numpy)", "json": "JSON", "glb": "Animated GLB", "html": "Web page",
}  # fmt: skip


def in_language(text: str | Exception, request: gr.Request | None) -> str:
    """A text or an error in the visitor's language."""
    return translate(text, request.headers.get("accept-language", "") if request else "")


def page_error(error: Exception, request: gr.Request | None) -> gr.Error:
    """The error as one of the page, in the visitor's language."""
    return gr.Error(in_language(error, request), print_exception=False)


def run(work: Generator[Step, None, Result], progress: gr.Progress, request: gr.Request | None) -> Result:
    """Run the steps, shown as Gradio's progress. Raises gr.Error."""
    try:
        while True:
            step = next(work)
            progress(step.share, desc=in_language(step.text, request))
    except StopIteration as end:
        return end.value
    except (ValueError, FileNotFoundError) as error:
        raise page_error(error, request) from error


def generation_steps(
    asked: AnimationRequest, schedule: object, video: str | None
) -> Generator[Step, None, tuple[Speech, Comparison | None]]:
    """Handler of Generate: the emotion is the panel's schedule, and a video is compared.

    video: of the same speech; without audio, its sound is the speech, and without both the example's.
    """
    audio = asked.audio or video or str(EXAMPLE)
    speech = yield from steps(replace(asked, emotion=parse_schedule(schedule), audio=audio))
    comparison = (yield from comparison_steps(speech, video)) if video else None
    yield Step("Preparing the player", 0.9, 0.3)
    return speech, comparison


def generate(
    asked: AnimationRequest, schedule: object, video: str | None, request: gr.Request | None = None
) -> Iterator[tuple[object, object, dict]]:
    """What the page shows, the key of what is kept for downloads, and the status of static/status.js."""
    work, start, unchanged = generation_steps(asked, schedule, video), time.monotonic(), gr.skip()
    try:
        while True:
            step = next(work)
            yield unchanged, unchanged, {"state": "busy", **step._asdict()}
    except StopIteration as end:
        speech, comparison = end.value
    except (ValueError, FileNotFoundError) as error:
        yield unchanged, unchanged, {"state": "error", "text": in_language(error, request)}
        return
    data = player_data(speech.clip, speech.waveform, comparison)
    key = secrets.token_urlsafe(16)
    results.put(key, speech)
    done = {
        "state": "done", "seconds": speech.clip.duration_seconds, "took": time.monotonic() - start,
        "notes": [in_language(note, request) for note in speech.notes],
        "example": not (asked.audio or video),
    }  # fmt: skip
    yield data | {"made": time.time()}, key, done  # the same result is shown and played again


@cache
def example_data() -> bytes:
    """The player's value for the example that the page opens with, as JSON."""
    speech = run_silently(steps(AnimationRequest(str(EXAMPLE), motion=DEFAULT_MOTION)))
    return json.dumps(player_data(speech.clip, speech.waveform)).encode()


def run_silently(work: Generator[Step, None, Result]) -> Result:
    """The result of steps, without progress."""
    try:
        while True:
            next(work)
    except StopIteration as end:
        return end.value


def animate(
    audio: str | None,
    emotion: str = "neutral",
    intensity: float = 1.0,
    style: str = "default",
    amount: float = 1.0,
    reference: str | None = None,
    fps: float = 30,
    motion: list[str] | None = None,
    seed: str = "",
    smoothing: float = 0.0,
    lip_offset: float = 0.0,
    symmetry: float = 0.0,
    mouth: float = 1.0,
    brows: float = 1.0,
    formats: list[str] | None = None,
    progress: gr.Progress = PROGRESS,
    request: gr.Request | None = None,
) -> tuple[dict, list[str]]:
    """Animate speech: audio becomes the 52 ARKit blendshape coefficients of every frame. Emotions are
    neutral, calm, happy, sad, angry, fearful, disgusted, surprised and contempt.

    Args:
        audio: An audio or video file with speech, at most 120 s.
        emotion: A name, or JSON: a mixture {"happy": 0.7, "sad": 0.3}, by second [[0, "calm"], [2, "sad"]].
        intensity: Strength of the emotion, 0 to 1.5.
        style: Name of a speaking style of the model.
        amount: How much of the style, 0 to 1.5.
        reference: A face video or recorded curves (CSV, JSON, NPZ) whose speaker's style is taken instead.
        fps: Frames per second of the result, 1 to 120.
        motion: Motion beside speech: any of blink, gaze, brows, breath, head.
        seed: A whole number for that motion; empty = from the audio.
        smoothing: Milliseconds, 0 to 500.
        lip_offset: Millimeters added to lips that are apart, -10 to 10.
        symmetry: 0 to 1, how alike left and right become.
        mouth: Amplitude of the mouth, 0 to 2.
        brows: Amplitude of the brows, 0 to 2.
        formats: Files to make: csv (Live Link Face), npz, json, glb (animated head), html (a page to send).

    Returns:
        A summary (frames, fps, duration_seconds, closed_seconds: how long the lips are closed), and the files
        in the order of formats.
    """
    try:
        parsed = parse_emotion(emotion)
    except UserError as error:
        raise page_error(error, request) from error
    asked = AnimationRequest(
        audio, parsed, intensity, style, amount, reference, fps, motion or (), str(seed), smoothing,
        lip_offset, symmetry, mouth, brows,
    )  # fmt: skip
    speech = run(steps(asked), progress, request)
    for note in speech.notes:
        gr.Warning(in_language(note, request))
    clip, folder = speech.clip, new_folder(FOLDER / "downloads")
    closed = sum(end - start for start, end in sealed_stretches(clip.lip_distance_mm(), clip.fps))
    summary = {"frames": len(clip), "fps": clip.fps, "duration_seconds": round(clip.duration_seconds, 3)}
    files = [str(write_file(speech, kind, folder)) for kind in formats or []]
    return summary | {"closed_seconds": round(closed, 3)}, files


def write_file(speech: Speech, kind: str, folder: Path) -> Path:
    """One of FORMATS in a folder."""
    path = folder / ("bilabial_iPhone.csv" if kind == "csv" else f"bilabial.{kind}")
    writers: dict[str, Callable[[Path], Path]] = {
        "csv": speech.clip.to_csv,
        "npz": speech.clip.to_npz,
        "json": partial(to_json, speech.clip),
        "glb": partial(to_glb, speech.clip, head=HEAD),
        "html": partial(write_page, speech.clip, speech.waveform),
    }
    return writers[kind](path)


def result_of(key: str, request: gr.Request | None) -> Speech:
    """What was generated under a key. Raises gr.Error where it is gone, or nothing was generated."""
    speech = results.get(key)
    if speech is None:
        raise page_error(UserError("result_gone" if key else "no_result"), request)
    return speech


def download(kind: str, key: str, request: gr.Request | None = None) -> str:
    """The file of one download button, of a result by its key."""
    return str(write_file(result_of(key, request), kind, new_folder(FOLDER / "downloads")))


def download_for_rig(kind: str, rig: str, key: str, request: gr.Request | None = None) -> str:
    """The file of a result in one of the formats of bilabial.io.formats, in the shapes and names of a rig.

    rig: a shipped profile, "" = that of the format.
    """
    speech = result_of(key, request)
    path = new_folder(FOLDER / "downloads") / f"bilabial{CLIP_FORMATS[kind].suffix}"
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always", RigWarning)
            write_clip(speech.clip, path, kind, WriteOptions(rig=RigProfile.load(rig) if rig else None))
    except UserError as error:
        raise page_error(error, request) from error
    for warning in told:
        if issubclass(warning.category, RigWarning):
            gr.Warning(in_language(str(warning.message), request))
    return str(path)
