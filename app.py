"""The Space: speech in, a talking face out.

Run with `python app.py`; a Space needs this file and requirements.txt.
"""

import base64
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
import plotly

import bilabial
from bilabial import EMOTIONS
from bilabial.audio import encode_wav, load_audio
from bilabial.plots import animation_figure, lip_distance_figure

KEPT_SECONDS = 3600  # how long uploads and results stay on the server
MAX_SECONDS = 120  # of speech per request: more would make the page itself slow
PACKAGE = Path(bilabial.__file__).parent
PLOTLY_JS = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
INTRODUCTION = f"""# Bilabial

Speech becomes a talking face: 52 ARKit blendshapes for every frame, with lips that close on p, b and m.

Upload or record up to {MAX_SECONDS} seconds (wav, mp3, m4a, ogg, flac, webm, or a video with sound), then
press Generate.
"""
PROGRESS = gr.Progress()


@cache
def animator() -> "bilabial.Animator":
    """The embedded default model, imported and loaded when first needed: the page opens seconds earlier."""
    return bilabial.Animator.from_pretrained()


def style_names() -> list[str]:
    """Names of the default model's styles, read without loading it."""
    return json.loads((PACKAGE / "pretrained" / "config.json").read_text())["styles"]


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
    progress: gr.Progress = PROGRESS,
):
    """Animate speech.

    Args:
        audio: Path or URL of an audio or video file with speech.
        emotion: One of neutral, calm, happy, sad, angry, fearful, disgusted, surprised, contempt.
        intensity: Strength of the emotion, 0 to 1.5.
        style: Name of a speaking style of the model.
        fps: Frames per second of the result, 1 to 240.

    Returns:
        Player data, lip-distance figure, Live Link Face CSV, NPZ archive.
    """
    if not audio:
        raise gr.Error(
            "There is no speech yet: upload a file or record with the microphone.", print_exception=False
        )
    try:
        progress(0.1, desc="Reading the sound")
        waveform = load_audio(audio, MAX_SECONDS)
        progress(0.3, desc="Animating")
        unheard = animator().untrained_emotions(emotion, intensity)
        clip = animator()((16000, waveform), emotion, intensity, style, fps)
    except (ValueError, FileNotFoundError) as error:
        raise gr.Error(str(error), print_exception=False) from error
    if unheard:
        gr.Warning(animator().untrained_message(unheard))
    progress(0.7, desc="Drawing")
    folder = download_folder()
    sound = "data:audio/wav;base64," + base64.b64encode(encode_wav(waveform)).decode()
    player = {"figure": json.loads(animation_figure(clip).to_json()), "audio": sound}
    csv, npz = clip.to_csv(folder / "bilabial_iPhone.csv"), clip.to_npz(folder / "bilabial.npz")
    return player, lip_distance_figure(clip), str(csv), str(npz)


def build_demo() -> gr.Blocks:
    """The page: layout first, then all event wiring."""
    gr.set_static_paths([PLOTLY_JS])
    with gr.Blocks(title="Bilabial", delete_cache=(KEPT_SECONDS, KEPT_SECONDS)) as demo:
        gr.Markdown(INTRODUCTION)
        with gr.Row():
            with gr.Column(scale=2, min_width=300):
                audio = gr.Audio(
                    type="filepath", sources=["upload", "microphone"], label="Speech", elem_id="speech"
                )
                emotion = gr.Dropdown(list(EMOTIONS), value="neutral", label="Emotion")
                intensity = gr.Slider(0.0, 1.5, 1.0, step=0.1, label="Intensity of the emotion")
                style = gr.Dropdown(style_names(), value=style_names()[0], label="Speaking style")
                fps = gr.Slider(1, 120, 30, step=1, label="Frames per second")
                button = gr.Button("Generate", variant="primary", elem_id="generate")
                gr.Examples(
                    [[str(path)] for path in sorted((PACKAGE / "examples").glob("*.*"))],
                    [audio],
                    label="Examples",
                )
            with gr.Column(scale=3, min_width=300):
                player = gr.HTML(
                    value=None,
                    html_template=(
                        '<div class="bilabial-plot"></div>'
                        '<audio controls aria-label="Generated speech" style="width: 100%"'
                        """ src="${value ? value.audio : ''}"></audio>"""
                    ),
                    js_on_load=(PACKAGE / "viewer" / "player.js").read_text(),
                    head=f'<script src="/gradio_api/file={PLOTLY_JS}"></script>',
                    elem_id="player",
                    min_height=120,
                )
                lips = gr.Plot(label="Lip distance", elem_id="lips")
                with gr.Row():
                    csv = gr.DownloadButton("Live Link Face CSV", elem_id="csv")
                    npz = gr.DownloadButton("NPZ (numpy)", elem_id="npz")

        button.click(
            generate,
            inputs=[audio, emotion, intensity, style, fps],
            outputs=[player, lips, csv, npz],
            api_name="animate",
            concurrency_limit=2,
        )
    return demo


if __name__ == "__main__":
    threading.Thread(target=animator, daemon=True).start()  # ready by the time someone presses Generate
    build_demo().queue(max_size=20).launch(max_file_size="50mb")
