"""The card of a model: README.md of its repository, with figures from metrics.json and metadata for the Hub.

The embedded model has a card of its own, model_card.md; every other model gets one from the template here.
"""

import logging
import re
import shutil
import subprocess
import sys
from pathlib import Path

import plotly.graph_objects as go
from huggingface_hub import EvalResult, ModelCard
from plotly.subplots import make_subplots

from bilabial.errors import UserError
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES
from bilabial.hub.configuration_bilabial import BilabialConfig
from bilabial.hub.modeling_bilabial import BilabialModel
from bilabial.training.data.sources import Source
from bilabial.training.evaluation.tables import headline, leading_table
from bilabial.training.publishing.licenses import forbids_commerce, sources_table

logger = logging.getLogger(__name__)

PLOT = "figures.png"
DRAW = """
import sys, plotly.io
plotly.io.from_json(sys.stdin.read()).write_image(sys.argv[1], width=1100, height=420, scale=1)
"""
DRAW_SECONDS = 120  # it takes 3 to 10
TASK = "audio-to-blendshapes"
TAGS = [TASK, "talking-face", "lip-sync", "arkit", "blendshapes", "speech-driven-animation"]
INDEXED = {  # figures of the model index, and what they are called there
    "width_r": "Correlation of the mouth's width with the film's",
    "width_gain": "Size of its changes beside the film's",
    "width_contrast": "Width at rounded minus spread phones, in 1/100 outer-eye distances",
    "lip_motion_explained": "Share of the lips' motion explained",
    "gap_r": "Correlation of the mouth's opening with the film's",
    "gap_gain": "Size of its changes beside the film's, of the opening",
    "lip_corr": "Correlation of lip distance with the captured gap",
    "lag_ms": "Lag of the lips in ms, positive: late",
    "mouth_mae_centered": "Mouth MAE without the clips' medians",
    "closure_auc": "Closure on /p b m/ told from open vowels, area under the curve",
    "closure_recall": "Share of sealed frames that are closed",
    "false_closure": "Share of open frames that are closed",
    "youden_j": "Closure on /p b m/ beyond that on open vowels",
    "lve": "LVE over BEAT-51",
    "mve": "MVE over BEAT-51",
}
COLORS = {"model": "#c4606a", "capture": "#5b8c5a", "rolled": "#999999", "mean pose": "#cccccc"}
TEMPLATE = """---
license: {license}
library_name: transformers
tags: [{tags}]
---

# {name}: speech to ARKit blendshapes, with lips that close

Input: speech at 16 kHz, an emotion and a speaking style. Output: the 52 ARKit blendshape coefficients of
every frame. Made with Bilabial, from the data below.

<!-- headline -->
{headline}
<!-- /headline -->

## How to use

```python
from transformers import AutoModel, pipeline

model = AutoModel.from_pretrained("REPOSITORY", trust_remote_code=True)
coefficients = model.animate(waveform, sampling_rate=16000, emotion="neutral", style=None, fps=30)
# (frames, 52) float32 in 0..1; columns are model.config.blendshapes; frame k is at k / fps seconds

animate = pipeline("{task}", model="REPOSITORY", trust_remote_code=True)
face = animate("speech.wav", emotion="happy", intensity=1.0, fps=30)  # "names", "fps" and "coefficients"
```

## Model

{parameters:.1f} M parameters. {context} Emotions in the training data: {trained}. {untrained}Styles:
{styles}.

## Data and licenses

{sources}

The terms of these sources also hold for what is made with this model: name them where you pass it on.

## Channels

{masks}

## Figures

On clips outside the training data. Medians over clips; closure is pooled over frames and phones. The
coefficients are shown on the viewer's head and compared with the film's landmarks, head pose removed:
`width_r` and `width_gain` are the correlation of the mouth's width and the ratio of standard deviations (1:
the size that people move), `width_contrast` is the width at rounded minus spread phones in 1/100 of the
outer-eye distance, `lip_motion_explained` the share of the motion of 40 points; `gap_` is the opening
between the lips, `outer_` that between their outer edges. *capture* is the captured coefficients (upper
limit), *rolled* the prediction shifted by half a clip, *mean pose* a constant face; a good figure is far
from the last two. `lip_corr` is the correlation of lip distance with the captured gap, `lip_corr_speech` the
same during speech, `lag_ms` the delay of the lips, `mouth_mae_centered` the error of the mouth without each
clip's medians, `bilabial_closure` and `vowel_false_closure` the share of /p b m/ and of open vowels with
closed lips, `youden_j` their difference; `num_*` are numbers of clips, frames and phones.

<!-- shape and closure -->
{shape}
<!-- /shape and closure -->

<!-- metrics -->
{tables}
<!-- /metrics -->

## Limits

{limits}

## Attribution

Made with Bilabial (Apache-2.0), whose objective follows a patent application by China Unicom (2024); check
it before commercial use. Faces of videos are captured with MediaPipe FaceLandmarker.
"""
PICTURE = re.compile(r"(!\[[^\]]*\]\()(?!https?:)([^)\s]+)\)")  # of a card, in a file


def write_template(
    name: str, model: BilabialModel, sources: list[Source], scores: dict, tables: str, license: str
) -> str:
    """A card from the template. scores, tables: metrics.json, parsed and as Markdown."""
    config = model.config
    untrained = [one for one in config.emotions if one not in config.trained_emotions]
    return TEMPLATE.format(
        name=name,
        license=license,
        tags=", ".join(TAGS),
        task=TASK,
        parameters=model.num_parameters() / 1e6,
        context=_context(config),
        trained=", ".join(config.trained_emotions),
        untrained=f"Others have no effect: {', '.join(untrained)}. " if untrained else "",
        styles=", ".join(config.styles),
        sources=sources_table(sources),
        masks=_masks(config),
        headline=headline(scores),
        shape=leading_table(scores),
        tables=tables,
        limits="\n".join(f"- {limit}" for limit in _limits(config, sources, scores)),
    )


def _context(config: BilabialConfig) -> str:
    if config.lookahead_seconds is None:
        family = config.to_dict()["audio_encoder_config"]["model_type"]
        return f"The {family} encoder needs the whole clip."
    return (
        f"A frame depends on {config.history_seconds:.2f} s of history and {config.lookahead_seconds:.2f} s "
        "of look-ahead, so that a recording may be computed in chunks."
    )


def _masks(config: BilabialConfig) -> str:
    names = [name for name in ARKIT_BLENDSHAPES if name in config.unseen_blendshapes]
    if not names:
        return "Every coefficient moved in the training data, or in the prior of emotions."
    still = ", ".join(f"`{name}`" for name in names)
    others = len(config.blendshapes) - len(names)
    return f"Neither training data nor the prior of emotions move {still}: they stay 0. {others} are learned."


def _limits(config: BilabialConfig, sources: list[Source], scores: dict) -> list[str]:
    """Limits that follow from the figures."""
    minutes = sum(one.seconds for one in sources) / 60
    limits = [f"Trained on {minutes:.0f} minutes; voices and faces unlike these are not measured."]
    few = [name for name, row in _data(scores).items() if row.get("num_bilabials", 0) < 50]
    if few:
        limits.append(f"Closure figures of {', '.join(few)} rest on fewer than 50 /p b m/.")
    if any(forbids_commerce(one.license) for one in sources):
        limits.append("Some of the data forbid commercial use; see their licenses above.")
    limits += ["No head motion.", "Mouths that stay open in pauses are closed: silence means rest."]
    return limits


def complete(
    text: str, repo_id: str, scores: dict, license: str | None, datasets: list[str], plot: bool
) -> str:
    """Fill in a repository's name, license, data sets, model index and plot."""
    card = ModelCard(text.replace("REPOSITORY", repo_id))
    card.data.model_name = repo_id.split("/")[1]
    card.data.eval_results = model_index(scores)
    if license:
        card.data.license = license
    if datasets:
        card.data.datasets = datasets
    if plot:  # at the top, unless the card has a picture there
        end = "<!-- /metrics -->" if PICTURE.search(text) else "<!-- /headline -->"
        picture = f"![lip_corr of every clip, and how often lips close that should, and should not]({PLOT})"
        card.text = card.text.replace(end, f"{end}\n\n{picture}", 1)
    return f"{card}"


def copy_pictures(text: str, source: Path, folder: Path) -> str:
    """Copy the pictures that a card names into a flat folder; the text with their new paths.

    source: the folder that the card's paths start from. Raises ValueError for a missing picture.
    """
    for _, name in PICTURE.findall(text):
        if not (source / name).is_file():
            raise UserError("card_picture", name=name, path=source)
        shutil.copyfile(source / name, folder / Path(name).name)
    return PICTURE.sub(lambda found: f"{found[1]}{Path(found[2]).name})", text)


def model_index(scores: dict) -> list[EvalResult]:
    """The model's own figures per data set, as the Hub shows them."""
    return [
        EvalResult(
            task_type=TASK,
            task_name="Speech to ARKit blendshapes",
            dataset_type=name,
            dataset_name=name,
            dataset_split=scores.get("weights", {}).get("split", "validation"),
            metric_type=figure,
            metric_name=title,
            metric_value=round(row[figure], 4),
        )
        for name, row in _data(scores).items()
        for figure, title in INDEXED.items()
        if figure in row
    ]


def draw(scores: dict, folder: Path) -> bool:
    """Draw figures.png into a folder: lip_corr of every clip, and the shares of closed lips.

    Returns False and prints why where kaleido or Chrome are missing. It runs in a separate process, since
    kaleido waits forever for a Chrome that does not answer.
    """
    command, silent = [sys.executable, "-c", DRAW, str(folder / PLOT)], subprocess.DEVNULL
    given = {"input": plot(scores).to_json(), "text": True, "stdout": silent, "stderr": silent}
    try:
        subprocess.run(command, check=True, timeout=DRAW_SECONDS, **given)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        logger.info(f"the card gets no plots: kaleido drew none ({type(error).__name__}); it needs a Chrome")
        return False
    return True


def plot(scores: dict) -> go.Figure:
    """Left: correlation of every clip beside the medians of baselines; right: closure."""
    figure = make_subplots(1, 2, subplot_titles=("lip_corr of every clip", "share of closed lips"))
    data = [name for name, entries in scores.items() if "clips" in entries]
    of_clips = [(name, clip) for name in data for clip in scores[name]["clips"].values()]
    clips = [(name, clip["lip_corr"]) for name, clip in of_clips if "lip_corr" in clip]
    names, values = zip(*clips, strict=True) if clips else ((), ())
    figure.add_trace(go.Box(x=names, y=values, name="the model", marker_color=COLORS["model"]), 1, 1)
    for other in ("capture", "rolled", "mean pose"):
        medians = [scores[name].get(other, {}).get("lip_corr") for name in data]
        marks = {"symbol": "line-ew-open", "size": 40, "color": COLORS[other], "line": {"width": 3}}
        figure.add_trace(go.Scatter(x=data, y=medians, mode="markers", name=other, marker=marks), 1, 1)
    for column, title, color in (
        ("closure_recall", "sealed frames", COLORS["capture"]),
        ("false_closure", "open frames", COLORS["rolled"]),
    ):
        shares = [scores[name]["model"].get(column) for name in data]
        figure.add_trace(go.Bar(x=data, y=shares, name=f"{title} closed", marker_color=color), 1, 2)
    figure.update_yaxes(range=[-1, 1], row=1, col=1).update_yaxes(range=[0, 1], row=1, col=2)
    return figure.update_layout(template="plotly_white", margin={"l": 40, "r": 20, "t": 40, "b": 40})


def _data(scores: dict) -> dict[str, dict]:
    """The model's rows of a metrics.json, by data set."""
    return {name: entries["model"] for name, entries in scores.items() if "clips" in entries}
