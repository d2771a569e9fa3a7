"""Check a trained model, a data set and the Space, and publish them on the Hub.

A model's repository holds weights, code, feature extractor and a card written from metrics.json; a data set's
its Parquet files; a Space the app with that model inside. Nothing is uploaded unless all checks pass. Each
upload is one commit, and with --tag a revision; repeating it changes nothing. A dry run writes the same files
to OUTPUT/model, OUTPUT/dataset and OUTPUT/space.
"""

import json
import logging
import re
import shutil
import tempfile
from collections.abc import Container
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pyarrow
import pyarrow.compute
import pyarrow.parquet
from huggingface_hub import DatasetCard, HfApi, ModelCard
from safetensors.torch import load_file, save_file
from tqdm import tqdm

from bilabial.checkpoint import (
    EMBEDDED_MODEL,
    EMBEDDED_MODELS,
    HUB_ID,
    WEIGHTS_FILE,
    load_checkpoint,
    save_checkpoint,
    weights_sha256,
)
from bilabial.errors import MissingFileError, UserError
from bilabial.training.data.schema import data_files, missing_columns
from bilabial.training.data.sources import Source, sources_of_files, write_sources
from bilabial.training.evaluation.tables import HEADLINE, headline, leading_table, tables
from bilabial.training.old_names import current_figures
from bilabial.training.publishing.card import complete, copy_pictures, draw, write_template
from bilabial.training.publishing.checks import (
    check_card,
    check_code,
    check_figures,
    check_measured,
    check_use,
    check_weights,
    check_work_tree,
    code_revision,
    open_app,
)
from bilabial.training.publishing.licenses import check_license, hub_license, read_sources
from bilabial.training.publishing.space import build_space
from bilabial.training.publishing.upload import Release, check_token, push

logger = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parents[4]  # the checkout: its app, card and commit are published
TAG = re.compile(r"\w[\w.+-]*")
DRY_RUN = ".dry_run"  # in what a dry run wrote, so that the next one may replace it
OWN_LICENSE = "apache-2.0"  # that of the code


@dataclass
class PublishArguments:
    repo_id: str | None = field(
        default=None, metadata={"help": "Repository of the model, name/model; made if missing."}
    )
    model: Path | None = field(
        default=None, metadata={"help": "Folder of the model; left out: the embedded default."}
    )
    metrics: Path | None = field(
        default=None,
        metadata={"help": "What evaluate.py wrote; left out: metrics.json in or beside the model's folder."},
    )
    card: Path | None = field(
        default=None,
        metadata={"help": "Model card; left out: model_card.md, or for --model a generated one."},
    )
    license: str | None = field(
        default=None,
        metadata={
            "help": "License of model and Space as a Hub identifier; left out: the card's, else apache-2.0."
        },
    )
    allow_non_commercial: bool = field(
        default=False,
        metadata={"help": "Publish under that license although training data forbid commercial use."},
    )
    dataset: Path | None = field(default=None, metadata={"help": "Folder of a data set to publish."})
    dataset_repo_id: str | None = field(default=None, metadata={"help": "Its repository, name/data."})
    space: bool = field(default=False, metadata={"help": "Publish the app with the model."})
    space_repo_id: str | None = field(default=None, metadata={"help": "Its repository, name/space."})
    tag: str | None = field(default=None, metadata={"help": "Also tag the commits, such as v0.1.0."})
    message: str | None = field(default=None, metadata={"help": "Of the commits."})
    private: bool = field(default=False, metadata={"help": "Make the repositories private."})
    dry_run: bool = field(default=False, metadata={"help": "Check and write to --output, upload nothing."})
    allow_dirty: bool = field(default=False, metadata={"help": "Publish uncommitted code."})
    embed: bool = field(default=False, metadata={"help": "Make --model the embedded model; no upload."})
    embed_as: Literal["default", "live"] = field(
        default="default",
        metadata={"help": "Which embedded model; live is stored in half precision."},
    )
    output: Path = field(default=Path("build/hub"), metadata={"help": "Folder that a dry run writes."})

    @property
    def is_embedded(self) -> bool:
        return self.model is None or self.model.resolve() == EMBEDDED_MODEL.resolve()


def check_arguments(args: PublishArguments) -> None:
    """Raise UserError for missing, contradictory or invalid options."""
    if not (args.repo_id or args.dataset or args.space):
        raise UserError("publish_nothing")
    wanted = {"repo_id": bool(args.repo_id), "dataset_repo_id": args.dataset, "space_repo_id": args.space}
    for name, asked in wanted.items():
        value = getattr(args, name)
        if asked and not (value and HUB_ID.fullmatch(value)):
            raise UserError("publish_repository", option=f"--{name}", got=value)
        if value and not asked:
            raise UserError("option_needs", option=f"--{name}", missing=f"--{name.removesuffix('_repo_id')}")
    if args.dry_run:
        check_dry_run(args)
    if args.tag and not (TAG.fullmatch(args.tag) and args.tag != "main"):
        raise UserError("publish_tag", got=args.tag)


def check_dry_run(args: PublishArguments) -> None:
    """Raise ValueError where a dry run would overwrite files of no earlier dry run."""
    given = [path.resolve() for path in (args.model, args.dataset) if path]
    wanted = {"model": args.repo_id, "dataset": args.dataset, "space": args.space}
    for target in (args.output / kind for kind, asked in wanted.items() if asked):
        if any(path.is_relative_to(target.resolve()) for path in given):
            raise UserError("publish_into_itself", path=target)
        empty = target.is_dir() and not any(target.iterdir())
        if target.exists() and not empty and not (target / DRY_RUN).is_file():
            raise UserError("publish_output", path=target)


def refuse(problems: list[UserError], *advice: UserError) -> None:
    """Raise a UserError with all problems, if any, and with what helps."""
    if problems:
        raise UserError("publish_problems", problems=["; ".join(map(str, [*problems, *advice]))])


def read_metrics(args: PublishArguments) -> dict:
    """The figures of the model. Raises ValueError where they are missing, of another model or not finite."""
    folder = args.model or EMBEDDED_MODEL
    places = [args.metrics] if args.metrics else [folder / "metrics.json", folder.parent / "metrics.json"]
    found = next((path for path in places if path.is_file()), None)
    path = found or places[-1]
    advice = UserError("figures_command", model=Path(folder), path=path)
    if found is None:
        refuse([UserError("figures_no_file", path=path)], advice)
    try:
        scores = current_figures(json.loads(path.read_text()), str(path))
        refuse(check_measured(scores, weights_sha256(folder)), advice)
        refuse(check_figures(scores))
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise UserError("publish_metrics", path=path, error=repr(error)) from error
    return scores


def log_unknown_licenses(sources: list[Source]) -> None:
    """Print the sources without a license."""
    unknown = [one.source for one in sources if one.license == "unknown"]
    if unknown:
        logger.info(
            f"no license is stated for {', '.join(unknown)}; the column license of metadata.csv takes it"
        )


def build_model(args: PublishArguments, folder: Path) -> None:
    """Write the files of a model's repository. Raises ValueError when a check fails."""
    model, feature_extractor = load_checkpoint(args.model)
    scores = read_metrics(args)
    sources = read_sources(args.model or EMBEDDED_MODEL)
    log_unknown_licenses(sources)
    source = args.card or (ROOT / "model_card.md" if args.is_embedded else None)
    if source and not source.is_file():
        raise MissingFileError("file_missing", name=source)
    name, license = args.repo_id.split("/")[1], args.license or OWN_LICENSE
    text = (
        source.read_text()
        if source
        else write_template(name, model, sources, scores, tables(scores), license)
    )
    figures = [leading_table(scores), tables(scores)]
    figures += [headline(scores)] if f"<!-- {HEADLINE} -->" in text else []
    problems = check_card(source.name if source else "the card", text, *figures) + check_weights(model)
    refuse(problems or check_license(sources, args.license or card_license(text), args.allow_non_commercial))
    save_checkpoint(model, feature_extractor, folder, with_code=True)
    refuse(check_code(folder) or check_use(folder, model))
    if source:
        text = copy_pictures(text, source.parent, folder)
    datasets = [args.dataset_repo_id] if args.dataset_repo_id else []
    has_plot = draw(scores, folder)
    (folder / "metrics.json").write_text(json.dumps(scores, indent=1) + "\n")
    write_sources(folder, sources)
    (folder / "README.md").write_text(complete(text, args.repo_id, scores, args.license, datasets, has_plot))


def card_license(text: str) -> str:
    """The license that a card's metadata name."""
    return str(ModelCard(text).data.license)


def build_dataset(args: PublishArguments, folder: Path) -> None:
    """Write the files of a data set's repository: links to its Parquet files, and its card.

    The card carries the licenses of the rows' own sources. Raises ValueError when a check fails.
    """
    files, card = data_files(args.dataset), args.dataset / "README.md"
    if not files or not card.is_file():
        raise UserError("data_files", path=args.dataset)
    (folder / "data").mkdir(parents=True)
    for path in tqdm(files, unit="file", desc="checking rows"):
        check_rows(path)
        (folder / "data" / path.name).symlink_to(path.resolve())
    sources = sources_of_files(files)
    log_unknown_licenses(sources)
    head = DatasetCard(card.read_text())
    head.data.license = sorted({hub_license(one.license) for one in sources})
    (folder / "README.md").write_text(f"{head}")


def check_rows(path: Path) -> None:
    """Raise ValueError unless a Parquet file has the columns of a data set, a row, and only numbers."""
    file = pyarrow.parquet.ParquetFile(path)
    missing = missing_columns(file.schema_arrow.names)
    if missing:
        raise UserError("data_columns", name=path, missing=missing)
    if not file.metadata.num_rows:
        raise UserError("data_no_rows", path=path)
    for batch in file.iter_batches(columns=["id", "coefficients"]):
        values = pyarrow.compute.list_flatten(batch["coefficients"], recursive=True)
        if values.null_count or not pyarrow.compute.all(pyarrow.compute.is_finite(values)).as_py():
            raise UserError("data_not_finite", path=path)


def build_app(args: PublishArguments, folder: Path) -> None:
    """Write the files of a Space, and build its page. Raises ValueError if that fails."""
    own = None
    if not args.is_embedded:
        own, license = load_checkpoint(args.model), args.license or OWN_LICENSE
        refuse(check_weights(own[0]))
        refuse(check_license(read_sources(args.model), license, args.allow_non_commercial))
    build_space(ROOT, folder, own, args.repo_id, args.license, args.space_repo_id)
    open_app(folder)
    for cache in list(folder.rglob("__pycache__")):
        shutil.rmtree(cache)


def build_releases(args: PublishArguments, folder: Path) -> list[Release]:
    """Check and write all requested repositories, each kind in its own folder."""
    description = f"Made with Bilabial {code_revision(ROOT)}."
    releases = []
    if args.repo_id:
        build_model(args, folder / "model")
        releases.append(("model", args.repo_id, "Publish weights, code and card"))
    if args.dataset:
        build_dataset(args, folder / "dataset")
        releases.append(("dataset", args.dataset_repo_id, "Publish the data set"))
    if args.space:
        build_app(args, folder / "space")
        releases.append(("space", args.space_repo_id, "Publish the app"))
    return [
        Release(kind, repo_id, folder / kind, args.message or message, description)
        for kind, repo_id, message in releases
    ]


def keep(release: Release, output: Path) -> None:
    """Copy the files of a dry run, replacing those of an earlier one."""
    shutil.rmtree(output / release.kind, ignore_errors=True)
    shutil.copytree(release.folder, output / release.kind, symlinks=True)
    (output / release.kind / DRY_RUN).touch()


def embed(args: PublishArguments) -> None:
    """Make a model and its record of sources the embedded model."""
    if args.is_embedded:
        raise UserError("option_needs", option="--embed", missing="--model")
    model, feature_extractor = load_checkpoint(args.model)
    sources = read_sources(args.model)
    folder = EMBEDDED_MODELS[args.embed_as]
    save_checkpoint(model, feature_extractor, folder, with_code=False)
    if args.embed_as == "live":
        halve_weights(folder / WEIGHTS_FILE, keep=dict(model.named_buffers()))
    write_sources(folder, sources)
    logger.info(f"the {args.embed_as} model in {folder} is now {args.model}")


def halve_weights(path: Path, keep: Container[str]) -> None:
    """Store tensors in half precision, except those named in `keep`; the model computes in float32."""
    tensors = load_file(path)
    halved = {name: one if name in keep else one.half() for name, one in tensors.items()}
    save_file(halved, path, metadata={"format": "pt"})


def publish(args: PublishArguments) -> None:
    if args.embed:
        embed(args)
        return
    check_arguments(args)
    if not args.allow_dirty:
        refuse(check_work_tree(ROOT))
    api = HfApi()
    if not args.dry_run:
        check_token(api)
    with tempfile.TemporaryDirectory() as temporary:
        releases = build_releases(args, Path(temporary))
        for release in releases:
            files = [path for path in release.folder.rglob("*") if path.is_file()]
            size = sum(path.stat().st_size for path in files)
            logger.info(f"{release.kind} {release.repo_id}: {len(files)} files, {size:,} bytes")
        for release in releases:
            if args.dry_run:
                keep(release, args.output)
            else:
                logger.info(f"published: {push(api, release, args.private, args.tag)}")
    if args.dry_run:
        logger.info(f"dry run: all checks passed, the files are in {args.output}; nothing was uploaded")
