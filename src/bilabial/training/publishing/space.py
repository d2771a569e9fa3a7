"""The Space: the app, the package it runs on, and the head of its README."""

import shutil
from pathlib import Path

from huggingface_hub import SpaceCard, constants

from bilabial.checkpoint import save_checkpoint
from bilabial.hub.feature_extraction_bilabial import BilabialFeatureExtractor
from bilabial.hub.modeling_bilabial import BilabialModel

NOT_COPIED = shutil.ignore_patterns("__pycache__", "*.egg-info", ".*")
THUMBNAIL = "talking.webp"  # of docs/: the picture of links to the Space
BODY = """
# {title}

Speech becomes a talking face: the 52 ARKit blendshapes of every frame, with lips that close on p, b and m.

`app.py` is the page, `src/bilabial` the package behind it. {model}
"""


def build_space(
    root: Path,
    folder: Path,
    own_model: tuple[BilabialModel, BilabialFeatureExtractor] | None,
    model_id: str | None,
    license: str | None,
    space_id: str | None = None,
) -> None:
    """Write a Space's files from the repository at root.

    own_model: used instead of the embedded one. space_id: the Space's name on the Hub, for its picture.
    """
    folder.mkdir(parents=True)
    shutil.copytree(root / "src", folder / "src", ignore=NOT_COPIED)
    for name in ("app.py", "requirements.txt", "LICENSE"):
        shutil.copyfile(root / name, folder / name)
    if own_model:
        pretrained = folder / "src" / "bilabial" / "pretrained"
        shutil.rmtree(pretrained)
        save_checkpoint(*own_model, pretrained, with_code=False)
    shutil.copyfile(root / "docs" / THUMBNAIL, folder / THUMBNAIL)
    card = space_card((root / "README.md").read_text(), model_id, license, space_id)
    (folder / "README.md").write_text(card)


def space_card(readme: str, model_id: str | None, license: str | None, space_id: str | None = None) -> str:
    """README.md of the Space: the YAML head of the repository's, the model it shows, and a few words."""
    card = SpaceCard(readme)
    if model_id:
        card.data.models = [model_id]
    if license:
        card.data.license = license
    if space_id:  # the Hub wants a whole address
        card.data.thumbnail = f"{constants.ENDPOINT}/spaces/{space_id}/resolve/main/{THUMBNAIL}"
    model = f"The model is `{model_id}`." if model_id else ""
    card.text = BODY.format(title=card.data.title, model=model)
    return f"{card}"
