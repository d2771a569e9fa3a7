"""The page: its layout, and the wiring of its events. Needs the extra `app`."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import plotly

import bilabial
from bilabial.app.animation import (
    MAX_MEGABYTES,
    MAX_SECONDS,
    MAX_SEED_DIGITS,
    RETENTION_SECONDS,
    AnimationRequest,
    live_animator,
)
from bilabial.app.handlers import DEFAULT_MOTION, FORMATS, animate, download, download_for_rig, generate
from bilabial.app.i18n import TEXTS
from bilabial.app.limits import limited
from bilabial.app.live_model import live_props
from bilabial.app.opening import FILE_ADDRESS, SCRIPT, opening_props
from bilabial.app.player import STATIC, served_files
from bilabial.app.sessions import Sessions
from bilabial.hub.blendshapes_bilabial import EMOTIONS
from bilabial.hub.expression_bilabial import STYLE_PRESETS
from bilabial.io.formats import FORMATS as CLIP_FORMATS
from bilabial.io.recordings import CURVE_SUFFIXES
from bilabial.rig import RigProfile, shipped_rigs

import gradio as gr  # isort: skip  # after animation.py, which says where its files go

T = gr.I18n()  # T("text") is translated to the browser's language
PLOTLY_JS = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
API_FIELDS = [field.name for field in fields(AnimationRequest)]  # in the order of animate's parameters
PACKAGE = Path(bilabial.__file__).parent
FILE_PIXELS = 120  # height of a field for a file
CLEANING_SECONDS = 60  # interval of removing expired files
MAX_WAITING = 40  # requests in the queue; further ones are refused
RUNNING = 2  # animations at the same time: one for each core of a free Space
TITLE = """# Bilabial

Speech to facial animation: 52 ARKit blendshapes per frame, with lips that close on p, b and m."""
LIMITS_TEXT = (
    f"Up to {MAX_SECONDS} seconds and {MAX_MEGABYTES} MB of speech: wav, mp3, m4a, ogg, flac, webm, video. "
    f"{RUNNING} animations run at a time and {MAX_WAITING} can wait. "
    f"Uploads and results are deleted after {RETENTION_SECONDS // 60} minutes."
)
ENGLISH = {text: text for text in TEXTS} | {"title": TITLE, "limits": LIMITS_TEXT}
LIMITS = {"seconds": MAX_SECONDS, "megabytes": MAX_MEGABYTES, "running": RUNNING, "waiting": MAX_WAITING}
CHINESE = TEXTS | {"limits": TEXTS["limits"].format(**LIMITS, minutes=RETENTION_SECONDS // 60)}
LANGUAGES = gr.I18n(**{"en": ENGLISH, "zh": CHINESE, "zh-CN": CHINESE, "zh-TW": CHINESE})
MOTION_LABELS = ("Blinks", "Gaze", "Brow accents", "Breath", "Turns and nods")
MOTIONS = dict(zip(MOTION_LABELS, DEFAULT_MOTION, strict=True))
EXAMPLES = {
    "english_woman.flac": "English, woman", "english_man.flac": "English, man", "mandarin.flac": "普通话",
}  # fmt: skip
# Fonts of the system: nothing to fetch, and every weight is there
THEME = gr.themes.Default(
    primary_hue="blue", font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
).set(
    button_primary_background_fill="*primary_700", button_primary_background_fill_dark="*primary_700",
    button_primary_background_fill_hover="*primary_800",
    button_primary_background_fill_hover_dark="*primary_600",
)  # fmt: skip
CSS = (STATIC / "page.css").read_text()
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


def panel(name: str, function: str, **props) -> gr.HTML:
    """A component of static/: its template, its style where it has one, its function of main.js."""
    style = STATIC / f"{name}.css"
    given = "{ element, props, watch, server: typeof server === 'undefined' ? undefined : server }"
    return gr.HTML(
        html_template=(STATIC / f"{name}.html").read_text(),
        css_template=style.read_text() if style.is_file() else "",
        js_on_load=f"bilabial.{function}({given});",
        head=SCRIPT,
        elem_id=name,
        texts=TEXTS,
        padding=False,
        **props,
    )


def player_panel() -> gr.HTML:
    """The head and the audio."""
    return panel(
        "player", "mountPlayer", value=None, min_height=120, live=live_props(FILE_ADDRESS),
        server_functions=Sessions(live_animator).server_functions(),
        **{name: value for name, value in opening_props().items() if name != "texts"},
    )  # fmt: skip


def speech_panel(max_file_bytes: int) -> gr.Audio:
    """A file, the microphone, or an example."""
    audio = gr.Audio(type="filepath", sources=["upload", "microphone"], label=T("Speech"), elem_id="speech")
    gr.Examples(
        [[str(PACKAGE / "examples" / name)] for name in EXAMPLES], [audio], label="", elem_id="examples",
        example_labels=list(EXAMPLES.values()), api_visibility="private",
    )  # fmt: skip
    return limited(audio, max_file_bytes)


def file_panel(name: str, label: object, kinds: list[str]) -> gr.File:
    """A field for a file of some kinds."""
    return gr.File(label=label, file_types=kinds, elem_id=name, height=FILE_PIXELS)


def style_panel(max_file_bytes: int) -> dict[str, gr.components.Component]:
    """A style by name, or of a reference, by field. max_file_bytes: of the reference file."""
    label = T("Style of a person: some seconds of a speaking face (video, Live Link Face CSV or NPZ)")
    kinds = ["video", *MEDIA_SUFFIXES, *CURVE_SUFFIXES]
    return {
        "style": gr.Dropdown(style_names(), value=style_names()[0], label=T("Speaking style")),
        "amount": gr.Slider(0.0, 1.5, 1.0, step=0.1, label=T("Strength of the style")),
        "reference": limited(file_panel("reference", label, kinds), max_file_bytes),
    }


def motion_panel() -> dict[str, gr.components.Component]:
    """Motion beside speech, and adjustments, by the names of AnimationRequest's fields."""
    return {
        "motion": gr.CheckboxGroup(
            [(T(label), name) for label, name in MOTIONS.items()],
            value=list(MOTIONS.values()), label=T("Motion beside speech"),
        ),
        "seed": gr.Textbox("", label=T("Random seed, a whole number"), placeholder=T("from the audio")),
        "smoothing": gr.Slider(0, 500, 0, step=10, label=T("Smoothing (ms)")),
        "lip_offset": gr.Slider(-10, 10, 0, step=0.5, label=T("Extra lip opening (mm)")),
        "symmetry": gr.Slider(0.0, 1.0, 0.0, step=0.1, label=T("Left-right symmetry")),
        "mouth": gr.Slider(0.0, 2.0, 1.0, step=0.1, label=T("Mouth amplitude")),
        "brows": gr.Slider(0.0, 2.0, 1.0, step=0.1, label=T("Brow amplitude")),
    }  # fmt: skip


def rig_panel() -> tuple[gr.Dropdown, gr.Dropdown, gr.Button]:
    """Which rig a file is for, its format, and the button that makes it."""
    rigs = [(RigProfile.load(name).title.split(":")[0], name) for name in shipped_rigs()]
    with gr.Row(elem_id="rigs"):
        rig = gr.Dropdown([(T("As the format needs it"), ""), *rigs], value="", label=T("Rig profile"))
        formats = [(one.title, name) for name, one in CLIP_FORMATS.items()]
        kind = gr.Dropdown(formats, value="csv", label=T("File format"))
        return rig, kind, gr.Button(T("Download for this rig"), elem_id="rig-file", size="sm", min_width=120)


def link_setting(name: str, control: gr.components.Component) -> dict:
    """What a link may set a control to, as static/share.js checks it."""
    setting: dict = {"name": name, "default": control.value}
    if isinstance(control, gr.Slider):
        return setting | {"kind": "number", "low": control.minimum, "high": control.maximum}
    if isinstance(control, gr.Dropdown | gr.CheckboxGroup):
        kind = "choices" if isinstance(control, gr.CheckboxGroup) else "choice"
        return setting | {"kind": kind, "choices": [value for _, value in control.choices]}
    if isinstance(control, gr.Textbox):
        return setting | {"kind": "text", "length": MAX_SEED_DIGITS}
    return setting | {"kind": "schedule", "choices": list(EMOTIONS[1:])}


def build_demo() -> gr.Blocks:
    """The page: layout first, then all event wiring."""
    gr.set_static_paths([PLOTLY_JS, *served_files()])
    max_file_bytes = MAX_MEGABYTES * 2**20
    with gr.Blocks(title="Bilabial", delete_cache=(CLEANING_SECONDS, RETENTION_SECONDS)) as demo:
        with gr.Column(elem_id="main"):
            gr.Markdown(T("title"), elem_id="title")
            player = player_panel()
            with gr.Row(elem_id="inputs"):
                with gr.Column(scale=5, min_width=280):
                    audio = speech_panel(max_file_bytes)
                with gr.Column(scale=5, min_width=280):
                    schedule = panel(
                        "emotion", "mountEmotion", value=[[0, {}]], emotions=list(EMOTIONS),
                        sound="#player audio",
                    )  # fmt: skip
                with gr.Column(scale=3, min_width=220):
                    button = gr.Button(T("Generate"), variant="primary", elem_id="generate")
                    status = panel("status", "mountStatus", value={"state": "idle"})
                    share = gr.Button(T("Copy link to these settings"), size="sm", elem_id="share")
            with gr.Column(elem_id="options"):
                with gr.Accordion(T("Emotion over time"), open=False):
                    intensity = gr.Slider(0.0, 1.5, 1.0, step=0.1, label=T("Emotion intensity"))
                    panel("timeline", "mountTimeline")
                with gr.Accordion(T("Style"), open=False):
                    styles = style_panel(max_file_bytes)
                with gr.Accordion(T("Motion"), open=False):
                    motions = motion_panel()
                with gr.Accordion(T("Compare"), open=False):
                    label = T("Video of the same speech; its sound is used where there is none above")
                    kinds = ["video", *MEDIA_SUFFIXES]
                    video = limited(file_panel("video", label, kinds), max_file_bytes)
                with gr.Accordion(T("Export"), open=False):
                    fps = gr.Slider(1, 120, 30, step=1, label=T("Frames per second of the next result"))
                    with gr.Row():
                        buttons = {
                            kind: gr.Button(T(label), elem_id=kind, min_width=100, size="sm")
                            for kind, label in FORMATS.items()
                        }
                        panel("video-file", "mountVideo")
                    rig, rig_format, rig_button = rig_panel()
            panel("plots", "mountPlots", plotly=f"{FILE_ADDRESS}{PLOTLY_JS}")
            gr.Markdown(T("limits"), elem_id="limits")
        key = gr.Textbox(visible="hidden")  # of a result
        file = gr.File(visible=False)
        with gr.Row(visible=False):  # inputs and outputs of the API
            emotion = gr.Textbox("neutral", label="Emotion")
            formats = gr.CheckboxGroup(list(FORMATS), value=["csv", "npz"], label="Formats")
            summary, files = gr.JSON(label="Summary"), gr.File(file_count="multiple", label="Files")
            call = gr.Button()

        controls = {"audio": audio, "intensity": intensity, **styles, "fps": fps, **motions}
        linked = {"emotion": schedule, **controls}
        del linked["audio"], linked["reference"]
        settings = json.dumps([link_setting(name, control) for name, control in linked.items()])

        def on_generate(data: dict, request: gr.Request):
            asked = AnimationRequest(**{name: data[control] for name, control in controls.items()})
            yield from generate(asked, data[schedule], data[video], request)

        together = {"concurrency_limit": RUNNING, "concurrency_id": "animation"}
        button.click(None, js="() => bilabial.startWaiting()", api_visibility="private")
        button.click(
            on_generate, {schedule, video, *controls.values()}, [player, key, status],
            api_visibility="private", show_progress="hidden", **together,
        ).failure(None, js="() => bilabial.stopWaiting()", api_visibility="private")  # fmt: skip
        call.click(
            animate, [controls.get(name, emotion) for name in API_FIELDS] + [formats], [summary, files],
            api_name="animate", **together,
        )  # fmt: skip
        for kind, one in buttons.items():
            one.click(download, [gr.State(kind), key], file, api_visibility="private").success(
                None, file, js=SAVE_FILE, api_visibility="private"
            )
        rig_button.click(
            download_for_rig, [rig_format, rig, key], file, api_visibility="private"
        ).success(None, file, js=SAVE_FILE, api_visibility="private")  # fmt: skip
        share.click(
            None, list(linked.values()), js=f"(...values) => bilabial.copyLink({settings}, values)",
            api_visibility="private",
        )  # fmt: skip
        demo.load(
            None, list(linked.values()), list(linked.values()),
            js=f"(...values) => bilabial.readLink({settings}, values)", api_visibility="private",
        ).then(None, js="() => bilabial.generateIfLinked()", api_visibility="private")  # fmt: skip
        asked = [schedule, intensity, styles["style"], styles["amount"]]
        gr.on(
            [demo.load, *(control.change for control in asked)], None, asked, js=ASKED_JS,
            api_visibility="private",
        )  # fmt: skip
    return demo
