"""The parts of the app's page, as Gradio components. Needs the extra `app`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import gradio as gr
import plotly

from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES, EMOTIONS, STYLE_PRESETS
from bilabial.limits import limited
from bilabial.live import Live
from bilabial.player import VIEWER, player_props, player_script
from bilabial.translation import TEXTS

if TYPE_CHECKING:  # imports torch: the page opens seconds earlier without
    from bilabial.animator import Animator

T = gr.I18n()  # T("text") is shown in the language of the browser
FILE_ADDRESS = "/gradio_api/file="  # what stands before the path of a served file
PLOTLY_JS = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
MOTIONS = {"Blinks": "blink", "Gaze": "gaze", "Brow accents": "brows", "Breath": "breath"}
# What FFmpeg reads and browsers do not call audio or video: uploads take them by their suffix.
MEDIA_SUFFIXES = [".webm", ".mkv", ".mp4", ".mov", ".3gp", ".caf"]
UPLOAD_JS = (VIEWER / "upload.js").read_text().replace("SUFFIXES", json.dumps(MEDIA_SUFFIXES))
SAVE_FILE = """(file) => {
  if (file) Object.assign(document.createElement("a"), { href: file.url, download: file.orig_name }).click();
}"""
# What live mode takes from the controls: the feeling at the start, its intensity, and the style by name.
ASKED_JS = """([[, emotion]], intensity, style, amount) => {
    window.bilabialAsked = {emotion, intensity, style: {[style]: amount}};
    window.dispatchEvent(new Event("bilabial-asked"));
}"""


def style_names() -> list[str]:
    """Names of the default model's styles and of the presets, read without loading it."""
    trained = json.loads((VIEWER.parent / "pretrained" / "config.json").read_text())["styles"]
    return trained + [name for name in STYLE_PRESETS if name not in trained]


def feeling_panel() -> gr.HTML:
    """Emotions by name, as a mixture and over time."""
    return gr.HTML(
        value=[[0, {}]],
        html_template=(VIEWER / "feeling.html").read_text(),
        css_template=(VIEWER / "feeling.css").read_text(),
        js_on_load="\n".join((VIEWER / name).read_text() for name in ("texts.js", "feeling.js")),
        elem_id="feeling",
        emotions=list(EMOTIONS),
        sound="#player audio",
        texts=TEXTS,
    )


def player_panel(animator: Callable[[], Animator]) -> gr.HTML:
    """The head, the sound and the plots. animator: gives the model that speaks along, when it is needed."""
    return gr.HTML(
        value=None,
        html_template=(VIEWER / "player.html").read_text(),
        css_template=(VIEWER / "player.css").read_text(),
        js_on_load=player_script(),
        head=f'<script src="{FILE_ADDRESS}{PLOTLY_JS}"></script>',
        elem_id="player",
        min_height=120,
        names=list(ARKIT_BLENDSHAPES),
        autoplay=True,
        server_functions=Live(animator).server_functions(),
        **player_props(FILE_ADDRESS),
    )


def life_panel() -> list[gr.components.Component]:
    """What moves beside speech, and what is changed afterwards."""
    with gr.Accordion(T("Life and adjustments"), open=False):
        return [
            gr.CheckboxGroup(
                [(T(label), name) for label, name in MOTIONS.items()],
                value=list(MOTIONS.values()), label=T("Moves by itself"),
            ),
            gr.Textbox("", label=T("Seed of these moves, a whole number"), placeholder=T("from the sound")),
            gr.Slider(0, 500, 0, step=10, label=T("Smoothing (ms)")),
            gr.Slider(-10, 10, 0, step=0.5, label=T("Wider mouth (mm)")),
            gr.Slider(0.0, 1.0, 0.0, step=0.1, label=T("Symmetry")),
            gr.Slider(0.0, 2.0, 1.0, step=0.1, label=T("Strength of the mouth")),
            gr.Slider(0.0, 2.0, 1.0, step=0.1, label=T("Strength of the brows")),
        ]  # fmt: skip


def style_panel(max_file_bytes: int) -> list[gr.components.Component]:
    """A style by name, or somebody's. max_file_bytes: of the file that shows somebody."""
    parts = [
        gr.Dropdown(style_names(), value=style_names()[0], label=T("Speaking style")),
        gr.Slider(0.0, 1.5, 1.0, step=0.1, label=T("Amount of the style")),
    ]
    with gr.Accordion(T("Style of a person"), open=False):
        label = T("Some seconds of a face that speaks: video, Live Link Face CSV or NPZ")
        kinds = ["video", *MEDIA_SUFFIXES, ".csv", ".npz"]
        return [*parts, limited(gr.File(label=label, file_types=kinds, elem_id="reference"), max_file_bytes)]
