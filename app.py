"""The Space: speech in, a talking face out.

Run with `python app.py`; a Space needs this file and requirements.txt.
"""

import json
import os
import shutil
import sys
import tempfile
import threading
import time
from functools import cache
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "src"))

import gradio as gr
import numpy as np
import plotly
import plotly.graph_objects as go

import bilabial
from bilabial import ARKIT_BLENDSHAPES, EMOTIONS, FaceClip
from bilabial.audio import load_audio
from bilabial.exporters import to_glb, to_json
from bilabial.hub.blendshapes_bilabial import STYLE_PRESETS
from bilabial.player import HEAD, VIEWER, player_data, player_props, player_script, served_files, write_page
from bilabial.plots import lip_distance_figure

KEPT_SECONDS = 3600  # how long uploads and results stay on the server
MAX_SECONDS = 120  # of speech per request: more would make the page itself slow
PACKAGE = Path(bilabial.__file__).parent
FILE_ADDRESS = "/gradio_api/file="  # what stands before the path of a served file
PLOTLY_JS = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
INTRODUCTION = f"""# Bilabial

Speech becomes a talking face: 52 ARKit blendshapes for every frame, with lips that close on p, b and m.

Upload or record up to {MAX_SECONDS} seconds (wav, mp3, m4a, ogg, flac, webm, or a video with sound), then
press Generate.
"""
CHINESE = json.loads((VIEWER / "chinese.json").read_text(encoding="utf-8"))
ENGLISH = {text: text for text in CHINESE} | {"introduction": INTRODUCTION}
TEXTS = gr.I18n(**{"en": ENGLISH, "zh": CHINESE, "zh-CN": CHINESE, "zh-TW": CHINESE})
PROGRESS = gr.Progress()
DOWNLOADS = {
    "csv": "Live Link CSV", "npz": "NPZ (numpy)", "json": "JSON", "glb": "Animated GLB",
    "html": "Web page",
}  # fmt: skip
MOTIONS = {"Blinks": "blink", "Gaze": "gaze", "Brow accents": "brows", "Breath": "breath"}


@cache
def animator() -> "bilabial.Animator":
    """The embedded default model, imported and loaded when first needed: the page opens seconds earlier."""
    return bilabial.Animator.from_pretrained()


def style_names() -> list[str]:
    """Names of the default model's styles and of the presets, read without loading it."""
    trained = json.loads((PACKAGE / "pretrained" / "config.json").read_text())["styles"]
    return trained + [name for name in STYLE_PRESETS if name not in trained]


def download_folder() -> Path:
    """A new folder for the files of one request; those of requests an hour ago are removed."""
    parent = Path(tempfile.gettempdir()) / f"bilabial_{os.getuid() if hasattr(os, 'getuid') else 0}"
    parent.mkdir(exist_ok=True)
    for old in parent.iterdir():
        if old.stat().st_mtime < time.time() - KEPT_SECONDS:
            shutil.rmtree(old, ignore_errors=True)
    return Path(tempfile.mkdtemp(dir=parent))


def generate(
    audio: str | None,
    emotion: str,
    intensity: float,
    style: str,
    fps: float,
    amount: float = 1.0,
    reference: str | None = None,
    motion: list[str] | None = None,
    seed: str = "",
    smoothing: float = 0.0,
    lip_offset: float = 0.0,
    symmetry: float = 0.0,
    mouth: float = 1.0,
    brows: float = 1.0,
    progress: gr.Progress = PROGRESS,
):
    """Animate speech.

    Args:
        audio: Path or URL of an audio or video file with speech.
        emotion: One of neutral, calm, happy, sad, angry, fearful, disgusted, surprised, contempt.
        intensity: Strength of the emotion, 0 to 1.5.
        style: Name of a speaking style of the model.
        fps: Frames per second of the result, 1 to 240.
        amount: How much of the style, 0 to 1.5.
        reference: A face video, Live Link Face CSV or NPZ whose speaker's style is taken instead.
        motion: What lives beside speech: of blink, gaze, brows, breath.
        seed: A whole number for that motion; empty = from the sound.
        smoothing: Milliseconds, 0 to 500.
        lip_offset: Millimetres added to lips that are apart, -10 to 10.
        symmetry: 0 to 1, how alike left and right become.
        mouth: Amplitude of the mouth, 0 to 2.
        brows: Amplitude of the brows, 0 to 2.

    Returns:
        Player data (sound, names, fps, frames, curves), lip-distance figure, Live Link Face CSV, NPZ archive,
        JSON, a GLB of the head with the animation in it, and a web page that plays it.
    """
    if not audio:
        raise gr.Error(
            "There is no speech yet: upload a file or record with the microphone.", print_exception=False
        )
    from bilabial.motion import Adjustments  # imports torch: not before somebody needs it

    try:
        progress(0.1, desc="Reading the sound")
        waveform = load_audio(audio, MAX_SECONDS)
        unheard = animator().untrained_emotions(emotion, intensity)
        wanted = {style: amount}
        if reference:
            progress(0.2, desc="Watching the reference")
            wanted = animator().reference_style(reference, amount)
        progress(0.5, desc="Animating")
        adjustments = Adjustments(smoothing / 1000, {"mouth": mouth, "brows": brows}, lip_offset, symmetry)
        drawn = whole_number(seed) if seed.strip() else None
        clip = animator()(
            (16000, waveform), emotion, intensity, wanted, fps, motion or (), drawn, adjustments
        )
    except (ValueError, FileNotFoundError) as error:
        raise gr.Error(str(error), print_exception=False) from error
    if unheard:
        gr.Warning(animator().untrained_message(unheard))
    progress(0.8, desc="Drawing")
    return results(clip, waveform)


def whole_number(text: str) -> int:
    """A number of 0 or more. Raises ValueError for anything else."""
    if not text.strip().isdecimal():
        raise ValueError(f"the seed must be a whole number of at least 0, or empty, got {text!r}")
    return int(text)


def results(clip: FaceClip, waveform: np.ndarray) -> tuple[dict | go.Figure | str, ...]:
    """What the page shows and offers of a clip and its sound (S,) at 16 kHz."""
    folder = download_folder()
    files = (
        clip.to_csv(folder / "bilabial_iPhone.csv"),
        clip.to_npz(folder / "bilabial.npz"),
        to_json(clip, folder / "bilabial.json"),
        to_glb(clip, folder / "bilabial.glb", HEAD),
        write_page(clip, waveform, folder / "bilabial.html"),
    )
    return player_data(clip, waveform), lip_distance_figure(clip), *map(str, files)


def build_demo() -> gr.Blocks:
    """The page: layout first, then all event wiring."""
    gr.set_static_paths([PLOTLY_JS, *served_files()])
    with gr.Blocks(title="Bilabial", delete_cache=(KEPT_SECONDS, KEPT_SECONDS)) as demo:
        gr.Markdown(TEXTS("introduction"))
        with gr.Row():
            with gr.Column(scale=2, min_width=300):
                audio = gr.Audio(
                    type="filepath", sources=["upload", "microphone"], label=TEXTS("Speech"), elem_id="speech"
                )
                emotion = gr.Dropdown(list(EMOTIONS), value="neutral", label=TEXTS("Emotion"))
                intensity = gr.Slider(0.0, 1.5, 1.0, step=0.1, label=TEXTS("Intensity of the emotion"))
                style = gr.Dropdown(style_names(), value=style_names()[0], label=TEXTS("Speaking style"))
                amount = gr.Slider(0.0, 1.5, 1.0, step=0.1, label=TEXTS("Amount of the style"))
                with gr.Accordion(TEXTS("Style of a person"), open=False):
                    reference = gr.File(
                        label=TEXTS("Some seconds of a face that speaks: video, Live Link Face CSV or NPZ"),
                        file_types=["video", ".csv", ".npz"], elem_id="reference",
                    )  # fmt: skip
                with gr.Accordion(TEXTS("Life and adjustments"), open=False):
                    motion = gr.CheckboxGroup(
                        list(MOTIONS.items()), value=list(MOTIONS.values()), label=TEXTS("Moves by itself")
                    )
                    afterwards = [
                        gr.Textbox(
                            "",
                            label=TEXTS("Seed of these moves, a whole number"),
                            placeholder=TEXTS("from the sound"),
                        ),
                        gr.Slider(0, 500, 0, step=10, label=TEXTS("Smoothing (ms)")),
                        gr.Slider(-10, 10, 0, step=0.5, label=TEXTS("Wider mouth (mm)")),
                        gr.Slider(0.0, 1.0, 0.0, step=0.1, label=TEXTS("Symmetry")),
                        gr.Slider(0.0, 2.0, 1.0, step=0.1, label=TEXTS("Strength of the mouth")),
                        gr.Slider(0.0, 2.0, 1.0, step=0.1, label=TEXTS("Strength of the brows")),
                    ]
                fps = gr.Slider(1, 120, 30, step=1, label=TEXTS("Frames per second"))
                button = gr.Button(TEXTS("Generate"), variant="primary", elem_id="generate")
                gr.Examples(
                    [[str(path)] for path in sorted((PACKAGE / "examples").glob("*.*"))],
                    [audio],
                    label=TEXTS("Examples"),
                )
            with gr.Column(scale=3, min_width=300):
                player = gr.HTML(
                    value=None,
                    html_template=(VIEWER / "player.html").read_text(),
                    css_template=(VIEWER / "player.css").read_text(),
                    js_on_load=player_script(),
                    head=f'<script src="{FILE_ADDRESS}{PLOTLY_JS}"></script>',
                    elem_id="player",
                    min_height=120,
                    names=list(ARKIT_BLENDSHAPES),
                    beside="#lips .js-plotly-plot",
                    **player_props(FILE_ADDRESS),
                )
                lips = gr.Plot(label=TEXTS("Lip distance"), elem_id="lips")
                with gr.Row():
                    downloads = [
                        gr.DownloadButton(TEXTS(label), elem_id=name, min_width=100)
                        for name, label in DOWNLOADS.items()
                    ]

        button.click(
            generate,
            inputs=[audio, emotion, intensity, style, fps, amount, reference, motion, *afterwards],
            outputs=[player, lips, *downloads],
            api_name="animate",
            concurrency_limit=2,
        )
    return demo


if __name__ == "__main__":
    threading.Thread(target=animator, daemon=True).start()  # ready by the time someone presses Generate
    build_demo().queue(max_size=20).launch(max_file_size="50mb", i18n=TEXTS)
