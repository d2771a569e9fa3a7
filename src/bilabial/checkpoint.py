"""A trained model on disk: weights, configuration and feature extractor, with or without their code."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

from bilabial.errors import MissingFileError, as_path

if TYPE_CHECKING:
    from bilabial.hub.feature_extraction_bilabial import BilabialFeatureExtractor
    from bilabial.hub.modeling_bilabial import BilabialModel

EMBEDDED_MODEL = Path(__file__).parent / "pretrained"
# by name: the default, and one of less look-ahead, for live use
EMBEDDED_MODELS = {"default": EMBEDDED_MODEL, "live": EMBEDDED_MODEL / "live"}
HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")
WEIGHTS_FILE = "model.safetensors"
FILES = ("config.json", WEIGHTS_FILE, "preprocessor_config.json")


def save_checkpoint(
    model: BilabialModel,
    feature_extractor: BilabialFeatureExtractor,
    folder: str | Path,
    with_code: bool = True,
) -> Path:
    """Write a folder that `load_checkpoint` reads; with_code: also AutoModel and pipeline() of transformers.

    Code files are those of bilabial/hub, copied flat: save_pretrained() of model and feature extractor writes
    them, unless their classes are not registered for an Auto class. Returns the folder.
    """
    classes = {type(one): type(one)._auto_class for one in (model, model.config, feature_extractor)}
    try:
        if not with_code:
            for own_class in classes:
                own_class._auto_class = None
            for loaded in (model.config, feature_extractor):
                loaded.__dict__.pop("auto_map", None)  # a model loaded with remote code still points to it
        model.save_pretrained(folder)
        feature_extractor.save_pretrained(folder)
    finally:
        for own_class, auto_class in classes.items():
            own_class._auto_class = auto_class
    return Path(folder)


def load_checkpoint(
    source: str | Path | None = None, revision: str | None = None
) -> tuple[BilabialModel, BilabialFeatureExtractor]:
    """Load model (in evaluation mode) and feature extractor from a folder or a Hub id.

    None = the embedded model "default"; "live" is the one of less delay. Raises FileNotFoundError naming a
    missing file, and ValueError for an invalid path or id; errors of the Hub pass through.
    """
    source = _checked(source)
    # torch and transformers take seconds; a hash needs neither
    from bilabial.hub.feature_extraction_bilabial import BilabialFeatureExtractor
    from bilabial.hub.modeling_bilabial import BilabialModel

    model = BilabialModel.from_pretrained(source, revision=revision or "main")
    return model.eval(), BilabialFeatureExtractor.from_pretrained(source, revision=revision or "main")


def live_source() -> str:
    """The embedded model for live use: "live"; where a Space has another model inside, that one."""
    return "live" if EMBEDDED_MODELS["live"].is_dir() else "default"


def folder_or_id(source: str | Path | None) -> str | Path:
    """The folder of an embedded model (None or a name of EMBEDDED_MODELS), else the source given.

    A name is a string: Path("live") is a folder.
    """
    if source is None:
        return EMBEDDED_MODEL
    return EMBEDDED_MODELS.get(source, source) if isinstance(source, str) else source


def weights_sha256(source: str | Path | None = None) -> str:
    """The SHA-256 (hex) of a model's weights, which identifies the weights of figures.

    source, errors: as of `load_checkpoint`.
    """
    with checkpoint_file(source, WEIGHTS_FILE).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checkpoint_file(source: str | Path | None, name: str) -> Path:
    """A file of a model by its name in FILES. source, errors: as of `load_checkpoint`."""
    source = _checked(source)
    if Path(source).is_dir():
        return Path(source) / name
    from huggingface_hub import hf_hub_download

    return Path(hf_hub_download(str(source), name))


def _checked(source: str | Path | None) -> str | Path:
    """A folder that holds a model, or a Hub id. Raises FileNotFoundError for what is neither."""
    if source is not None:
        as_path(source)
    source = folder_or_id(source)
    if Path(source).is_dir():
        missing = [name for name in FILES if not (Path(source) / name).is_file()]
        if missing:
            raise MissingFileError("model_files", path=Path(source), missing=missing, needed=FILES)
    elif isinstance(source, Path) or not HUB_ID.fullmatch(source):
        raise MissingFileError("model_name", got=str(source), accepted=[*EMBEDDED_MODELS])
    return source
