"""Check a trained model and publish it.

Weights, code, feature extractor and model card in one Hub repository.

    python train/publish.py --repo_id me/bilabial --dry_run
    python train/publish.py --repo_id me/bilabial --model runs/grid/model --private

Nothing is uploaded unless every check passes; the upload is a single commit. A dry run writes the same files
to --output.
"""

import ast
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

from huggingface_hub import HfApi
from huggingface_hub.errors import HTTPError, LocalTokenNotFoundError  # HTTPError: of its HTTP library, any
from transformers import HfArgumentParser

from bilabial.checkpoint import EMBEDDED_MODEL, load_checkpoint, save_checkpoint

ALLOWED_IMPORTS = {"numpy", "torch", "transformers", "huggingface_hub"}
# What transformers itself greps for, in docstrings and comments too, to know which files belong together.
RELATIVE_IMPORT = re.compile(r"^\s*(?:from|import)\s+\.(\S*)", re.MULTILINE)
TRY_OUT = """
import json, sys, numpy, torch
from transformers import AutoFeatureExtractor, AutoModel
folder = sys.argv[1]
model = AutoModel.from_pretrained(folder, trust_remote_code=True)
extractor = AutoFeatureExtractor.from_pretrained(folder, trust_remote_code=True)
assert "bilabial" not in sys.modules, "the code of the repository was not used"
waveform = numpy.random.default_rng(0).standard_normal(16000).astype("float32") * 0.1
print(json.dumps({
    "coefficients": model.animate(waveform, sampling_rate=16000, fps=30).tolist(),
    "features": float(extractor(waveform, sampling_rate=16000, return_tensors="pt").input_values.abs().sum()),
    "buffers": {name: float(buffer.double().sum()) for name, buffer in model.named_buffers()},
}))
"""


@dataclass
class PublishArguments:
    repo_id: str | None = field(
        default=None, metadata={"help": "Hub repository, name/model; made if missing."}
    )
    model: Path | None = field(
        default=None, metadata={"help": "Folder of the model; left out: the embedded default."}
    )
    card: Path = field(
        default=ROOT / "model_card.md", metadata={"help": "Becomes README.md of the repository."}
    )
    private: bool = field(default=False, metadata={"help": "Make the repository a private one."})
    dry_run: bool = field(default=False, metadata={"help": "Check and write to --output, upload nothing."})
    embed: bool = field(default=False, metadata={"help": "Make --model this package's default; no upload."})
    output: Path = field(default=Path("build/hub"), metadata={"help": "Folder that a dry run writes."})


def check_code(folder: Path) -> list[str]:
    """What in the folder's Python files would break on the Hub: a list of sentences, empty if nothing."""
    problems = []
    for path in sorted(folder.glob("*.py")):
        text = path.read_text()
        for target in RELATIVE_IMPORT.findall(text):
            if not re.fullmatch(r"\w+", target) or not (folder / f"{target}.py").is_file():
                problems.append(f"{path.name}: '.{target}' is not a file beside it")
        for node in ast.walk(ast.parse(text)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module]
            for name in names:
                package = name.split(".")[0]
                if package not in ALLOWED_IMPORTS | set(sys.stdlib_module_names):
                    problems.append(f"{path.name} imports {package}, which users of the Hub need not have")
    return problems


def check_card(card: Path) -> list[str]:
    """What is missing in a model card: a list of sentences."""
    text = card.read_text() if card.is_file() else ""
    wanted = ("license:", "library_name: transformers", "trust_remote_code=True", "<!-- metrics -->")
    return [f"{card.name} lacks {mark!r}" for mark in wanted if mark not in text]


def try_out(folder: Path) -> str:
    """Load and use the folder in a clean interpreter, offline, without this package.

    Returns what it printed (JSON). Raises RuntimeError with the interpreter's own words.
    """
    with tempfile.TemporaryDirectory() as home:
        environment = {"HF_HOME": home, "HF_HUB_OFFLINE": "1", "PATH": "", "HOME": home}
        command = [sys.executable, "-I", "-c", TRY_OUT, str(folder.resolve())]
        done = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{folder} does not load in a clean interpreter:\n{done.stderr[-2000:]}")
    return done.stdout.strip().splitlines()[-1]


def build(args: PublishArguments, folder: Path) -> None:
    """Write the repository's files to a folder. Raises ValueError when a check fails."""
    model, feature_extractor = load_checkpoint(args.model)
    save_checkpoint(model, feature_extractor, folder, with_code=True)
    problems = check_code(folder) + check_card(args.card)
    if problems:
        raise ValueError("not published:\n" + "\n".join(f"- {problem}" for problem in problems))
    shutil.copy(args.card, folder / "README.md")
    try_out(folder)


def main(args: PublishArguments) -> None:
    if args.embed:
        save_checkpoint(*load_checkpoint(args.model), EMBEDDED_MODEL, with_code=False)
        print(f"the default model in {EMBEDDED_MODEL} is now {args.model}")
        return
    if args.repo_id is None or args.repo_id.count("/") != 1:
        raise ValueError(f"repo_id must look like name/model, got {args.repo_id!r}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "repository"
        build(args, folder)
        for path in sorted(folder.iterdir()):
            print(f"{path.stat().st_size:>12,} {path.name}")
        if args.dry_run:
            shutil.rmtree(args.output, ignore_errors=True)
            shutil.copytree(folder, args.output)
            print(f"dry run: all checks passed, the files are in {args.output}; nothing was uploaded")
            return
        api = HfApi()
        api.create_repo(args.repo_id, private=args.private, exist_ok=True)
        commit = api.upload_folder(
            repo_id=args.repo_id, folder_path=folder, commit_message="Publish weights, code and card"
        )
        print(f"published: {commit.commit_url}")


if __name__ == "__main__":
    try:
        main(HfArgumentParser(PublishArguments).parse_args_into_dataclasses()[0])
    except (ValueError, FileNotFoundError, RuntimeError, LocalTokenNotFoundError, HTTPError) as error:
        raise SystemExit(f"publish: {error}") from error
