"""The page: its layout, and the wiring of its events. Needs the extra `app`."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import plotly

import bilabial
from bilabial.app.animation import KEPT_SECONDS, MAX_MEGABYTES, MAX_SECONDS, AnimationRequest, animator
from bilabial.app.handlers import FORMATS, PROGRESS, animate, download, generate
from bilabial.app.i18n import TEXTS
from bilabial.app.limits import limited
from bilabial.app.player import BUNDLE, STATIC, player_props, served_files
from bilabial.app.sessions import Sessions
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES, EMOTIONS, STYLE_PRESETS

import gradio as gr  # isort: skip  # after animation.py, which says where its files go

T = gr.I18n()  # T("text") is translated to the browser's language
FILE_ADDRESS = "/gradio_api/file="  # prefix of the path of a served file
PLOTLY_JS = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
SCRIPT = f'<script src="{FILE_ADDRESS}{BUNDLE}"></script>'
API_FIELDS = [field.name for field in fields(AnimationRequest)]  # in the order of animate's parameters
PACKAGE = Path(bilabial.__file__).parent
CLEANING_SECONDS = 60  # between two looks for files that are too old
MAX_WAITING = 40  # requests in the queue; further ones are told to come back
RUNNING = 2  # animations at the same time: one for each core of a free Space
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
MOTIONS = {"Blinks": "blink", "Gaze": "gaze", "Brow accents": "brows", "Breath": "breath"}
# Files that FFmpeg reads but browsers do not report as audio or video: accepted by suffix.
MEDIA_SUFFIXES = [".webm", ".mkv", ".mp4", ".mov", ".3gp", ".caf"]
UPLOAD_JS = (STATIC / "upload.js").read_text().replace("SUFFIXES", json.dumps(MEDIA_SUFFIXES))
SAVE_FILE = """(file) => {
  if (file) Object.assign(document.createElement("a"), { href: file.url, download: file.orig_name }).click();
}"""
# Settings of live mode: initial emotion, its intensity, and the style by name.
ASKED_JS = """([[, emotion]], intensity, style, amount) => {
    window.bilabialAsked = {emotion, intensity, style: {[style]: amount}};
    window.dispatchEvent(new Event("bilabial-asked"));
}"""


def style_names() -> list[str]:
    """Names of the default model's styles and of the presets, read without loading it."""
    trained = json.loads((PACKAGE / "pretrained" / "config.json").read_text())["styles"]
    return trained + [name for name in STYLE_PRESETS if name not in trained]


def mount(function: str) -> str:
    """js_on_load of a component: a function of static/main.js takes it over."""
    given = "{ element, props, watch, server: typeof server === 'undefined' ? undefined : server }"
    return f"bilabial.{function}({given});"


def emotion_panel() -> gr.HTML:
    """Emotions by name, as a mixture and over time."""
    return gr.HTML(
        value=[[0, {}]],
        html_template=(STATIC / "emotion.html").read_text(),
        css_template=(STATIC / "emotion.css").read_text(),
        js_on_load=mount("mountEmotion"),
        head=SCRIPT,
        elem_id="emotion",
        emotions=list(EMOTIONS),
        sound="#player audio",
        texts=TEXTS,
    )


def player_panel() -> gr.HTML:
    """The head, the sound and the plots."""
    return gr.HTML(
        value=None,
        html_template=(STATIC / "player.html").read_text(),
        css_template=(STATIC / "player.css").read_text(),
        js_on_load=mount("mountPlayer"),
        head=f'{SCRIPT}<script src="{FILE_ADDRESS}{PLOTLY_JS}"></script>',
        elem_id="player",
        min_height=120,
        names=list(ARKIT_BLENDSHAPES),
        autoplay=True,
        server_functions=Sessions(animator).server_functions(),
        **player_props(FILE_ADDRESS),
    )


def motion_panel() -> dict[str, gr.components.Component]:
    """Motion beside speech, and adjustments, by the names of AnimationRequest's fields."""
    with gr.Accordion(T("Life and adjustments"), open=False):
        return {
            "motion": gr.CheckboxGroup(
                [(T(label), name) for label, name in MOTIONS.items()],
                value=list(MOTIONS.values()), label=T("Moves by itself"),
            ),
            "seed": gr.Textbox(
                "", label=T("Seed of these moves, a whole number"), placeholder=T("from the sound")
            ),
            "smoothing": gr.Slider(0, 500, 0, step=10, label=T("Smoothing (ms)")),
            "lip_offset": gr.Slider(-10, 10, 0, step=0.5, label=T("Wider mouth (mm)")),
            "symmetry": gr.Slider(0.0, 1.0, 0.0, step=0.1, label=T("Symmetry")),
            "mouth": gr.Slider(0.0, 2.0, 1.0, step=0.1, label=T("Strength of the mouth")),
            "brows": gr.Slider(0.0, 2.0, 1.0, step=0.1, label=T("Strength of the brows")),
        }  # fmt: skip


def style_panel(max_file_bytes: int) -> dict[str, gr.components.Component]:
    """A style by name, or a person's, by field. max_file_bytes: of the file that shows the person."""
    parts = {
        "style": gr.Dropdown(style_names(), value=style_names()[0], label=T("Speaking style")),
        "amount": gr.Slider(0.0, 1.5, 1.0, step=0.1, label=T("Amount of the style")),
    }
    with gr.Accordion(T("Style of a person"), open=False):
        label = T("Some seconds of a face that speaks: video, Live Link Face CSV or NPZ")
        kinds = ["video", *MEDIA_SUFFIXES, ".csv", ".npz"]
        reference = limited(gr.File(label=label, file_types=kinds, elem_id="reference"), max_file_bytes)
    return parts | {"reference": reference}


def build_demo() -> gr.Blocks:
    """The page: layout first, then all event wiring."""
    gr.set_static_paths([PLOTLY_JS, *served_files()])
    max_file_bytes = MAX_MEGABYTES * 2**20
    with gr.Blocks(title="Bilabial", delete_cache=(CLEANING_SECONDS, KEPT_SECONDS)) as demo:
        gr.Markdown(T("introduction"))
        key = gr.Textbox(visible="hidden")  # of a result
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
                schedule = emotion_panel()
                intensity = gr.Slider(0.0, 1.5, 1.0, step=0.1, label=T("Intensity of the emotion"))
                styles = style_panel(max_file_bytes)
                motions = motion_panel()
                with gr.Accordion(T("Compare with a video"), open=False):
                    label = T("Video of the same speech; it speaks itself when there is none above")
                    kinds = ["video", *MEDIA_SUFFIXES]
                    video = limited(gr.File(label=label, file_types=kinds, elem_id="video"), max_file_bytes)
                fps = gr.Slider(1, 120, 30, step=1, label=T("Frames per second"))
                button = gr.Button(T("Generate"), variant="primary", elem_id="generate")
            with gr.Column(scale=3, min_width=300):
                player = player_panel()
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

        controls = {"audio": audio, "intensity": intensity, **styles, "fps": fps, **motions}

        def on_generate(data: dict, request: gr.Request, progress: gr.Progress = PROGRESS):
            asked = AnimationRequest(**{name: data[control] for name, control in controls.items()})
            return generate(asked, data[schedule], data[video], request, progress)

        together = {"concurrency_limit": RUNNING, "concurrency_id": "animation"}
        button.click(
            on_generate, {schedule, video, *controls.values()}, [player, key], api_visibility="private",
            scroll_to_output=True, **together,
        )  # fmt: skip
        call.click(
            animate, [controls.get(name, emotion) for name in API_FIELDS] + [formats], [summary, files],
            api_name="animate", **together,
        )  # fmt: skip
        for kind, one in buttons.items():
            one.click(download, [gr.State(kind), key], file, api_visibility="private").success(
                None, file, js=SAVE_FILE, api_visibility="private"
            )
        asked = [schedule, intensity, styles["style"], styles["amount"]]
        gr.on(
            [demo.load, *(control.change for control in asked)], None, asked, js=ASKED_JS,
            api_visibility="private",
        )  # fmt: skip
    return demo
