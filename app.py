"""The Space: speech in, a talking face out.

Run with `python app.py`; a Space needs this file and requirements.txt.
"""

import json
import os
import secrets
import sys
import threading
import time
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent / "src"))

from bilabial.folders import bytes_below, new_folder, private_folder, remove_old

FOLDER = private_folder("bilabial")  # of uploads and results
os.environ.setdefault("GRADIO_TEMP_DIR", str(FOLDER / "gradio"))  # read when gradio is imported

import gradio as gr
import numpy as np
from starlette.middleware import Middleware
from starlette.requests import Request

import bilabial
from bilabial import FaceClip
from bilabial.audio import load_audio
from bilabial.comparison import Comparison, compare, watch_lips
from bilabial.errors import UserError
from bilabial.exporters import to_glb, to_json
from bilabial.kept import Kept
from bilabial.limits import LimitRequests, client_of, limited
from bilabial.page import (
    ASKED_JS,
    MEDIA_SUFFIXES,
    PLOTLY_JS,
    SAVE_FILE,
    UPLOAD_JS,
    T,
    feeling_panel,
    life_panel,
    player_panel,
    style_panel,
)  # fmt: skip
from bilabial.player import HEAD, player_data, served_files, write_page
from bilabial.plots import sealed_stretches
from bilabial.translation import TEXTS, translate

if TYPE_CHECKING:
    from bilabial.capture import Capture

KEPT_SECONDS = 3600  # how long uploads and results stay on the server
CLEANING_SECONDS = 60  # between two looks for what is older than that
MAX_SECONDS = 120  # of speech per request: more would make the page itself slow
MAX_MEGABYTES = 50  # of one uploaded file
MAX_CURVES_MEGABYTES = 10  # of curves, which take many times their size in memory
MAX_KEPT_MEGABYTES = 4000  # of all files; further uploads are told to come back
KEPT_RESULT_BYTES = 256 * 2**20  # for downloads: two minutes at 120 fps are 11 MB
KEPT_FACE_BYTES = 32 * 2**20  # of references and captured videos, that are not watched again
MAX_SESSIONS = 200  # whose last page values Gradio keeps; nothing that a visitor misses is in them
MAX_EMOTION_CHARACTERS = 100_000
MAX_WAITING = 40  # requests in the queue; further ones are told to come back
MAX_SEED_DIGITS = 20
MAX_WAITING_OF_CLIENT = 20  # of those from one address
RUNNING = 2  # animations at the same time: one for each core of a free Space
PACKAGE = Path(bilabial.__file__).parent
INTRODUCTION = f"""# Bilabial

Speech becomes a talking face: 52 ARKit blendshapes for every frame, with lips that close on p, b and m.

Upload or record up to {MAX_SECONDS} seconds (wav, mp3, m4a, ogg, flac, webm; at most {MAX_MEGABYTES} MB),
then press Generate. {RUNNING} animations run at a time, {MAX_WAITING} may wait. What you upload and what is
made of it is deleted after {KEPT_SECONDS // 60} minutes.
"""
ENGLISH = {text: text for text in TEXTS} | {"introduction": INTRODUCTION}
LIMITS = {"seconds": MAX_SECONDS, "megabytes": MAX_MEGABYTES, "running": RUNNING, "waiting": MAX_WAITING}
CHINESE = TEXTS | {"introduction": TEXTS["introduction"].format(**LIMITS, minutes=KEPT_SECONDS // 60)}
LANGUAGES = gr.I18n(**{"en": ENGLISH, "zh": CHINESE, "zh-CN": CHINESE, "zh-TW": CHINESE})
PROGRESS = gr.Progress()
FORMATS = {
    "csv": "Live Link CSV", "npz": "NPZ (numpy)", "json": "JSON", "glb": "Animated GLB", "html": "Web page",
}  # fmt: skip


@dataclass(frozen=True)
class Speech:
    """What was generated: the face, and the sound it was made from, (S,) float32 at 16 kHz."""

    clip: FaceClip
    waveform: np.ndarray


@cache
def animator() -> "bilabial.Animator":
    """The embedded default model, imported and loaded when first needed: the page opens seconds earlier."""
    return bilabial.Animator.from_pretrained()


results: Kept[Speech] = Kept(KEPT_RESULT_BYTES, KEPT_SECONDS)
faces: Kept[FaceClip] = Kept(KEPT_FACE_BYTES, KEPT_SECONDS)
captures: Kept["Capture"] = Kept(KEPT_FACE_BYTES, KEPT_SECONDS)


def download_folder() -> Path:
    """A new folder for the files of one request."""
    return new_folder(FOLDER / "downloads")


def clean(demo: gr.Blocks) -> None:
    """Forget, and remove from the disk, what is older than it may be."""
    kept = [results, faces, captures]
    kept += [animator().heard] if animator.cache_info().currsize else []
    for one in kept:
        one.drop_old()
    remove_old(FOLDER, KEPT_SECONDS, set().union(*(block.keep_in_cache for block in demo.blocks.values())))


def keep_clean(demo: gr.Blocks) -> None:
    while True:
        time.sleep(CLEANING_SECONDS)
        clean(demo)


def refuse(demo: gr.Blocks, request: Request) -> UserError | None:
    """Why a request is not taken, before it is read."""
    path, queues = request.url.path, demo._queue.event_queue_per_concurrency_id.values()
    if path.endswith("/upload") and bytes_below(FOLDER) > MAX_KEPT_MEGABYTES * 2**20:
        return UserError("uploads_full")
    if path.endswith("/queue/join"):
        waiting = [client_of(event.request) for queue in queues for event in queue.queue]
        if waiting.count(client_of(request)) >= MAX_WAITING_OF_CLIENT:
            return UserError("queue_client", count=MAX_WAITING_OF_CLIENT)
    return None


def face_of(path: str) -> FaceClip:
    """The face in a reference, watched once: an upload's path tells its content. Raises ValueError."""
    from bilabial.animator import read_face

    check_size(path, MAX_CURVES_MEGABYTES if path.lower().endswith((".csv", ".npz")) else MAX_MEGABYTES)
    try:
        return faces.of(path, lambda: read_face(Path(path)))
    except UserError:
        raise
    except ValueError as error:  # visitors know their file's name, not where it lies here
        raise ValueError(str(error).replace(path, Path(path).name)) from error


def check_size(path: str, max_megabytes: int) -> None:
    """Raise UserError for a larger file, however it came."""
    if Path(path).is_file() and Path(path).stat().st_size > max_megabytes * 2**20:
        raise UserError("file_large", name=Path(path).name, limit=max_megabytes)


def sorry(error: Exception, request: gr.Request | None) -> gr.Error:
    """The error as one of the page, in the visitor's language."""
    return gr.Error(in_language(error, request), print_exception=False)


def in_language(said: str | Exception, request: gr.Request | None) -> str:
    return translate(said, request.headers.get("accept-language", "") if request else "")


def whole_number(text: str) -> int:
    """A number of 0 or more. Raises ValueError for anything else."""
    text = text.strip()
    if not text.isdecimal():
        raise UserError("seed_text", got=text)
    if len(text) > MAX_SEED_DIGITS:
        raise UserError("seed_long", count=len(text), limit=MAX_SEED_DIGITS)
    return int(text)


def feeling(text: str) -> "bilabial.Mixture | bilabial.Schedule":
    """The emotion that programs name: a name, or JSON of a mixture or a schedule. Raises ValueError."""
    if len(text) > MAX_EMOTION_CHARACTERS:
        raise UserError("emotion_long", count=len(text), limit=MAX_EMOTION_CHARACTERS)
    try:
        return json.loads(text) if text.strip()[:1] in ("{", "[") else text.strip()
    except (ValueError, RecursionError) as error:  # also numbers of too many digits
        raise UserError("emotion_text", got=text) from error


def only_feeling(schedule: object) -> "bilabial.Mixture | bilabial.Schedule":
    """What the page's panel says: a schedule, or the mixture of its only entry. Raises UserError."""
    if not isinstance(schedule, list) or not schedule:
        raise UserError("schedule_kind", got=schedule)
    if len(schedule) > 1:
        return schedule
    if not isinstance(schedule[0], list) or len(schedule[0]) != 2:
        raise UserError("schedule_entry", got=schedule[0])
    return schedule[0][1]


def perform(
    emotion: "bilabial.Mixture | bilabial.Schedule",
    progress: gr.Progress,
    request: gr.Request | None,
    audio: str | None,
    intensity: float,
    style: str,
    amount: float,
    reference: str | None,
    fps: float,
    motion: list[str],
    seed: str,
    smoothing: float,
    lip_offset: float,
    symmetry: float,
    mouth: float,
    brows: float,
) -> Speech:
    """The animation of one request; its parameters are those of `animate`. Raises gr.Error in a sentence."""
    if not audio:
        raise sorry(UserError("no_speech"), request)
    from bilabial.motion import Adjustments  # imports torch: not before somebody needs it

    notes = []
    try:
        drawn = whole_number(seed) if seed and seed.strip() else None
        progress(0.1, desc=in_language("Reading the sound", request))
        check_size(audio, MAX_MEGABYTES)
        waveform = load_audio(audio, MAX_SECONDS, tell=notes.append)
        unheard = animator().untrained_emotions(emotion, intensity)
        wanted = {style: amount}
        if reference:
            progress(0.2, desc=in_language("Watching the reference", request))
            wanted = animator().reference_style(face_of(reference), amount)
        progress(0.5, desc=in_language("Animating", request))
        adjustments = Adjustments(smoothing / 1000, {"mouth": mouth, "brows": brows}, lip_offset, symmetry)
        clip = animator()((16000, waveform), emotion, intensity, wanted, fps, motion, drawn, adjustments)
    except (ValueError, FileNotFoundError) as error:
        raise sorry(error, request) from error
    if unheard:
        notes.append(animator().untrained_message(unheard))
    for note in notes:
        gr.Warning(in_language(note, request))
    return Speech(clip, waveform)


def captured_lips(
    speech: Speech, video: str, progress: gr.Progress, request: gr.Request | None
) -> Comparison:
    """The lips of a video of the same speech. Raises gr.Error in a sentence."""
    progress(0.6, desc=in_language("Watching the video", request))
    try:
        check_size(video, MAX_MEGABYTES)
        seconds = len(speech.waveform) / 16000  # by content: the path of an upload holds its hash
        return compare(speech.clip, captures.of((video, seconds), lambda: watch_lips(video, seconds)))
    except (ValueError, FileNotFoundError) as error:
        raise sorry(error, request) from error


def generate(
    schedule: list,
    video: str | None,
    audio: str | None,
    request: gr.Request | None = None,
    progress: gr.Progress = PROGRESS,
    *knobs,
) -> tuple[dict, str]:
    """What the page shows, and the key of what is kept for downloads.

    schedule: [[seconds, {name: share}], ...].

    video: of the same speech, to compare; without audio, its sound is the speech.
    """
    try:
        emotion = only_feeling(schedule)
    except UserError as error:
        raise sorry(error, request) from error
    speech = perform(emotion, progress, request, audio or video, *knobs)
    seen = captured_lips(speech, video, progress, request) if video else None
    progress(0.8, desc=in_language("Drawing", request))
    data = player_data(speech.clip, speech.waveform, seen)
    key = secrets.token_urlsafe(16)
    results.put(key, speech)
    return data | {"made": time.time()}, key  # the same result anew is shown, and played, again


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
        reference: A face video, Live Link Face CSV or NPZ whose speaker's style is taken instead.
        fps: Frames per second of the result, 1 to 120.
        motion: What lives beside speech: of blink, gaze, brows, breath.
        seed: A whole number for that motion; empty = from the sound.
        smoothing: Milliseconds, 0 to 500.
        lip_offset: Millimetres added to lips that are apart, -10 to 10.
        symmetry: 0 to 1, how alike left and right become.
        mouth: Amplitude of the mouth, 0 to 2.
        brows: Amplitude of the brows, 0 to 2.
        formats: Files to make: csv (Live Link Face), npz, json, glb (animated head), html (a page to send).

    Returns:
        A summary (frames, fps, duration_seconds, closed_seconds: how long the lips are closed), and the files
        in the order of formats.
    """
    knobs = (intensity, style, amount, reference, fps, motion or [], str(seed), smoothing, lip_offset)
    try:
        wanted = feeling(emotion)
    except ValueError as error:
        raise sorry(error, request) from error
    speech = perform(wanted, progress, request, audio, *knobs, symmetry, mouth, brows)
    clip, folder = speech.clip, download_folder()
    closed = sum(end - start for start, end in sealed_stretches(clip.lip_distance_mm(), clip.fps))
    summary = {"frames": len(clip), "fps": clip.fps, "duration_seconds": round(clip.duration_seconds, 3)}
    files = [str(write_file(speech, kind, folder)) for kind in formats or []]
    return summary | {"closed_seconds": round(closed, 3)}, files


def write_file(speech: Speech, kind: str, folder: Path) -> Path:
    """One of FORMATS in a folder."""
    path = folder / ("bilabial_iPhone.csv" if kind == "csv" else f"bilabial.{kind}")
    writers = {
        "csv": speech.clip.to_csv,
        "npz": speech.clip.to_npz,
        "json": partial(to_json, speech.clip),
        "glb": partial(to_glb, speech.clip, head=HEAD),
        "html": partial(write_page, speech.clip, speech.waveform),
    }
    return writers[kind](path)


def download(kind: str, key: str, request: gr.Request | None = None) -> str:
    """The file of one download button, of a result by its key."""
    speech = results.get(key)
    if speech is None:
        raise sorry(UserError("result_gone" if key else "no_result"), request)
    return str(write_file(speech, kind, download_folder()))


def build_demo() -> gr.Blocks:
    """The page: layout first, then all event wiring."""
    gr.set_static_paths([PLOTLY_JS, *served_files()])
    max_file_bytes = MAX_MEGABYTES * 2**20
    with gr.Blocks(title="Bilabial", delete_cache=(CLEANING_SECONDS, KEPT_SECONDS)) as demo:
        gr.Markdown(T("introduction"))
        speech = gr.Textbox(visible="hidden")  # the key of a result
        with gr.Row():
            with gr.Column(scale=2, min_width=300):
                audio = limited(
                    gr.Audio(
                        type="filepath", sources=["upload", "microphone"], label=T("Speech"), elem_id="speech"
                    ),
                    max_file_bytes,
                )
                gr.Examples(
                    [[str(path)] for path in sorted((PACKAGE / "examples").glob("*.*"))],
                    [audio], label=T("Examples"), api_visibility="private",
                )  # fmt: skip
                schedule = feeling_panel()
                intensity = gr.Slider(0.0, 1.5, 1.0, step=0.1, label=T("Intensity of the emotion"))
                styles = style_panel(max_file_bytes)
                life = life_panel()
                with gr.Accordion(T("Compare with a video"), open=False):
                    label = T("Video of the same speech; it speaks itself when there is none above")
                    kinds = ["video", *MEDIA_SUFFIXES]
                    video = limited(gr.File(label=label, file_types=kinds, elem_id="video"), max_file_bytes)
                fps = gr.Slider(1, 120, 30, step=1, label=T("Frames per second"))
                button = gr.Button(T("Generate"), variant="primary", elem_id="generate")
            with gr.Column(scale=3, min_width=300):
                player = player_panel(animator)
                with gr.Row():
                    buttons = {
                        kind: gr.Button(T(label), elem_id=kind, min_width=100, size="sm")
                        for kind, label in FORMATS.items()
                    }
        file = gr.File(visible=False)
        with gr.Row(visible=False):  # what programs say and get instead
            emotion = gr.Textbox("neutral", label="Emotion")
            formats = gr.CheckboxGroup(list(FORMATS), value=["csv", "npz"], label="Formats")
            summary, files = gr.JSON(label="Summary"), gr.File(file_count="multiple", label="Files")
            call = gr.Button()

        knobs = [intensity, *styles, fps, *life]
        together = {"concurrency_limit": RUNNING, "concurrency_id": "animation"}
        button.click(generate, [schedule, video, audio, *knobs], [player, speech], api_visibility="private",
                     scroll_to_output=True, **together)  # fmt: skip
        call.click(
            animate, [audio, emotion, *knobs, formats], [summary, files],
            api_name="animate", **together,
        )  # fmt: skip
        for kind, one in buttons.items():
            wanted = [gr.State(kind), speech]
            one.click(download, wanted, file, api_visibility="private").success(
                None, file, js=SAVE_FILE, api_visibility="private"
            )
        asked = [schedule, intensity, *styles[:2]]
        gr.on(
            [demo.load, *(control.change for control in asked)], None, asked, js=ASKED_JS,
            api_visibility="private",
        )  # fmt: skip
    return demo


if __name__ == "__main__":
    threading.Thread(target=animator, daemon=True).start()  # ready by the time someone presses Generate
    demo = build_demo().queue(max_size=MAX_WAITING, api_open=False)  # nobody passes by the queue
    threading.Thread(target=keep_clean, args=[demo], daemon=True).start()
    limits = Middleware(LimitRequests, max_file_bytes=MAX_MEGABYTES * 2**20, refuse=partial(refuse, demo))
    demo.launch(
        max_file_size=f"{MAX_MEGABYTES}mb", i18n=LANGUAGES, mcp_server=True, show_error=True, js=UPLOAD_JS,
        state_session_capacity=MAX_SESSIONS, app_kwargs={"middleware": [limits]},
    )  # fmt: skip
