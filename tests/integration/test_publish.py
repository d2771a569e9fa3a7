"""Publishing over HTTP, on a Hub of our own (hub_server.py): what strangers get, and what is refused."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
import torch
from huggingface_hub import HfApi, ModelCard, constants
from huggingface_hub.errors import LocalTokenNotFoundError, RepositoryNotFoundError
from support.documents import snippets
from support.errors import refused
from support.hub_server import PART_BYTES, READ_TOKEN, TOKEN, LocalHub
from support.models import build_random
from support.paths import EXAMPLE, ROOT
from support.rows import animated_row

from bilabial.checkpoint import EMBEDDED_MODEL, load_checkpoint, save_checkpoint, weights_sha256
from bilabial.hub.configuration_bilabial import BilabialConfig
from bilabial.hub.feature_extraction_bilabial import BilabialFeatureExtractor
from bilabial.training.data.schema import SCHEMA
from bilabial.training.publishing import publish
from bilabial.training.publishing.checks import TRY_OUT, open_app
from bilabial.training.publishing.upload import HubError, Release, check_token, explain, push

WAVEFORM = np.random.default_rng(0).standard_normal(16000).astype(np.float32) * 0.1
LOAD_DATA = """
import sys, datasets
rows = datasets.load_dataset(sys.argv[1], split="validation", revision=sys.argv[2])
print(len(rows), rows[0]["license"], len(rows[0]["coefficients"][0]))
"""


@pytest.fixture(scope="module")
def hub():
    with LocalHub() as server:
        yield server


@pytest.fixture(autouse=True)
def without_xet(monkeypatch):
    """The Xet client speaks to a storage of its own; large files go by git-lfs, as without it."""
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)


def environment(hub, home: Path, token: str | None = None) -> dict[str, str]:
    given = {"HF_ENDPOINT": hub.url, "HF_HOME": str(home), "HOME": str(home), "HF_HUB_DISABLE_XET": "1"}
    return given | ({"HF_TOKEN": token} if token else {})


def run_publish(hub, home: Path, *options: str, token: str | None = TOKEN) -> subprocess.CompletedProcess:
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("HF_", "PYTHONPATH"))
    }
    command = [sys.executable, str(ROOT / "train" / "publish.py"), "--allow_dirty", *options]
    given = inherited | environment(hub, home, token)
    return subprocess.run(command, cwd=home, env=given, capture_output=True, text=True)


def run_stranger(hub, home: Path, code: str, *arguments: str, token: str | None = None):
    """A clean interpreter: no package of ours, no files of earlier runs, only the Hub's address."""
    command = [sys.executable, "-I", "-c", code, *arguments]
    given = environment(hub, home, token) | {"PATH": ""}
    return subprocess.run(command, cwd=home, env=given, capture_output=True, text=True)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, speech) -> Path:
    """A data set as prepare.py leaves it, with the leftovers of its work."""
    folder = tmp_path_factory.mktemp("prepared") / "me"
    (folder / "data").mkdir(parents=True)
    (folder / ".takes").mkdir()
    (folder / ".takes" / "left.parquet").write_bytes(b"over")
    rows = [animated_row(load_checkpoint()[0], speech) | {"license": "CC BY-NC 4.0", "source": "somebody"}]
    table = pyarrow.Table.from_pylist(rows, schema=SCHEMA)
    pyarrow.parquet.write_table(table, folder / "data" / "validation-00000-of-00001.parquet")
    (folder / "README.md").write_text("---\ntags: [bilabial]\n---\n\n# Captured speech\n")
    return folder


@pytest.fixture(scope="module")
def published(hub, prepared, tmp_path_factory):
    """The embedded model, a data set and the Space, published by one command; its output."""
    home = tmp_path_factory.mktemp("home")
    names = ["--repo_id", "me/bilabial", "--dataset_repo_id", "me/face", "--space_repo_id", "me/app"]
    options = [*names, "--dataset", str(prepared), "--space", "--tag", "v0.1.0"]
    done = run_publish(hub, home, *options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_each_is_one_commit_with_a_message_and_a_tag(hub, published):
    for kind, name, message in (
        ("model", "me/bilabial", "Publish weights, code and card"),
        ("dataset", "me/face", "Publish the data set"),
        ("space", "me/app", "Publish the app"),
    ):
        repository = hub.repository(name, kind)
        assert [commit.message for commit in repository.commits] == ["initial commit", message]
        assert repository.tags == {"v0.1.0": repository.commits[-1].oid}
        assert not repository.private
    assert published.count("published: ") == 3 and f"{hub.url}/datasets/me/face/tree/v0.1.0" in published


def test_the_weights_went_in_parts(hub, published):
    size = (EMBEDDED_MODEL / "model.safetensors").stat().st_size
    parts = {path for method, path in hub.requests if method == "PUT" and path.count("/") == 3}
    assert size > PART_BYTES and len(parts) >= size // PART_BYTES


def test_the_card_is_the_committed_one_with_metadata(hub, published):
    card = ModelCard(hub.repository("me/bilabial").files["README.md"].decode())
    committed = (ROOT / "model_card.md").read_text()
    assert card.data.license == "apache-2.0" and card.data.datasets == ["me/face"]
    assert "REPOSITORY" not in card.text and 'from_pretrained("me/bilabial"' in card.text
    text = committed.split("---\n", 2)[2].replace("REPOSITORY", "me/bilabial")
    text = text.replace("](docs/head_ada.jpg)", "](head_ada.jpg)")
    assert "head_ada.jpg" in hub.repository("me/bilabial").files
    before_plot, _, rest = card.text.partition("\n\n![lip_corr of every clip")
    assert before_plot in text and rest.partition("(figures.png)")[2] in text
    scores = json.loads((EMBEDDED_MODEL / "metrics.json").read_text())
    indexed = {(one.dataset_name, one.metric_type): one.metric_value for one in card.data.eval_results}
    assert indexed["strangers", "lip_corr"] == pytest.approx(
        scores["strangers"]["model"]["lip_corr"], abs=1e-4
    )
    assert {name for name, _ in indexed} == {"strangers", "grid_s1", "mandarin"}


def test_figures_and_weights_of_a_repository_belong_together(hub, published, tmp_path, monkeypatch):
    files = hub.repository("me/bilabial").files
    address = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", tmp_path)
    assert json.loads(files["metrics.json"])["weights"]["sha256"] == weights_sha256("me/bilabial")
    assert hashlib.sha256(files["model.safetensors"]).hexdigest() == weights_sha256("me/bilabial")


def test_a_stranger_computes_the_same(hub, published, tmp_path):
    done = run_stranger(hub, tmp_path, TRY_OUT, "me/bilabial")
    assert done.returncode == 0, done.stderr[-3000:]
    there, model = json.loads(done.stdout.splitlines()[-1]), load_checkpoint()[0]
    here = model.animate(WAVEFORM, 16000, fps=30).numpy()
    assert np.allclose(there["coefficients"], here, atol=1e-6)
    assert np.allclose(there["pipeline"]["coefficients"], here, atol=1e-6)
    assert there["pipeline"]["names"] == list(model.config.blendshapes) and there["pipeline"]["fps"] == 30


@pytest.mark.parametrize("document", ["README.md", "model_card.md"])
def test_the_snippet_of_the_documents_runs(hub, published, tmp_path, document):
    """From a file where there is the program ffmpeg, else from samples."""
    [snippet] = snippets(document, "python", "trust_remote_code")
    for name in ("your-name/bilabial", "REPOSITORY"):
        snippet = snippet.replace(name, "me/bilabial")
    (tmp_path / "speech.wav").write_bytes(EXAMPLE.read_bytes())
    if not shutil.which("ffmpeg"):
        snippet = snippet.replace('"speech.wav"', '{"raw": waveform, "sampling_rate": 16000}')
    waveform = "import numpy\nwaveform = numpy.random.default_rng(0).standard_normal(16000)"
    code = f"{waveform}\n{snippet}\nprint(len(face['names']))"
    given = environment(hub, tmp_path) | {"PATH": os.environ["PATH"]}
    command = [sys.executable, "-I", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=given, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-1] == "52"


def test_a_stranger_loads_the_data_set(hub, published, tmp_path):
    done = run_stranger(hub, tmp_path, LOAD_DATA, "me/face", "v0.1.0")
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split() == ["1", "CC", "BY-NC", "4.0", "52"]
    files = hub.repository("me/face", "dataset").files
    assert set(files) == {"README.md", "data/validation-00000-of-00001.parquet"}
    assert "license:\n- cc-by-nc-4.0\n" in files["README.md"].decode()


def test_the_space_opens(hub, published, tmp_path):
    api = HfApi(endpoint=hub.url, token=False)
    folder = tmp_path / "space"
    api.snapshot_download("me/app", repo_type="space", local_dir=folder, cache_dir=tmp_path / "cache")
    assert {"app.py", "src", "requirements.txt", "README.md"} <= {path.name for path in folder.iterdir()}
    head = (folder / "README.md").read_text().split("---\n")[1]
    for line in ("sdk: gradio", "app_file: app.py", "title: Bilabial", "models:\n- me/bilabial"):
        assert line in head
    assert "/spaces/me/app/resolve/main/talking.webp" in head and (folder / "talking.webp").is_file()
    assert not [path for path in folder.rglob("*.pyc") if ".cache" not in path.parts]
    open_app(folder)


@pytest.mark.slow
def test_the_same_again_changes_nothing(hub, published, prepared, monkeypatch, caplog):
    """Even the plot and the card are the same bytes."""
    names = ("me/bilabial", "model"), ("me/face", "dataset")
    before = [list(hub.repository(*name).commits) for name in names]
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    given = {"repo_id": "me/bilabial", "dataset": prepared, "dataset_repo_id": "me/face", "tag": "v0.1.0"}
    publish.publish(publish.PublishArguments(allow_dirty=True, **given))
    assert caplog.text.count("/tree/v0.1.0 (it was there already)") == 2
    assert [hub.repository(*name).commits for name in names] == before


# --- One small repository, pushed to from this process


@pytest.fixture
def api(hub, tmp_path):
    return HfApi(endpoint=hub.url, token=TOKEN)


def release(folder: Path, name: str, **files: str) -> Release:
    """A release of small files; those called `large_...` go to the storage of large files."""
    folder.mkdir(exist_ok=True)
    for file, text in files.items():
        suffix = ".safetensors" if file.startswith("large") else ".json"
        (folder / f"{file}{suffix}").write_text(text)
    return Release("model", f"me/{name}", folder, "Publish", "Made here.")


def test_a_release_that_is_there_already_makes_no_commit(hub, api, tmp_path):
    one = release(tmp_path / "one", "again", config="1", large_weights="2")
    address = push(api, one)
    assert push(api, one) == address
    assert push(api, one, tag="v1").endswith("/tree/v1")
    assert push(api, one, tag="v1").endswith("/tree/v1 (it was there already)")
    repository = hub.repository("me/again")
    assert len(repository.commits) == 2 and repository.tags == {"v1": repository.commits[1].oid}


def test_files_of_an_earlier_release_go_and_those_of_people_stay(hub, api, tmp_path):
    push(api, release(tmp_path / "old", "stale", config="1", extra="2"), tag="v1")
    api.upload_file(path_or_fileobj=b"mine", path_in_repo="notes.txt", repo_id="me/stale")
    fewer = release(tmp_path / "new", "stale", config="1")
    with refused("publish_tag_used", tag="v1", file="extra.json"):
        push(api, fewer, tag="v1")
    push(api, fewer)
    assert set(hub.repository("me/stale").files) == {"config.json", "notes.txt"}


def test_a_tag_never_moves(hub, api, tmp_path):
    push(api, release(tmp_path / "one", "tagged", config="1"), tag="v1")
    commits = list(hub.repository("me/tagged").commits)
    changed = release(tmp_path / "two", "tagged", config="2")
    with refused("publish_tag_used", tag="v1", file="config.json"):
        push(api, changed, tag="v1")
    assert hub.repository("me/tagged").commits == commits
    push(api, changed, tag="v2")
    assert hub.repository("me/tagged").tags.keys() == {"v1", "v2"}
    push(api, release(tmp_path / "one", "tagged", config="1"), tag="v1")  # as it was
    assert hub.repository("me/tagged").files == {"config.json": b"2"}


def test_private_is_private(hub, api, tmp_path):
    push(api, release(tmp_path / "one", "mine", config="1"), private=True)
    assert hub.repository("me/mine").private
    stranger = HfApi(endpoint=hub.url, token=False)
    given = {"repo_id": "me/mine", "filename": "config.json"}
    with pytest.raises(RepositoryNotFoundError):
        stranger.hf_hub_download(**given, cache_dir=tmp_path / "stranger")
    assert Path(api.hf_hub_download(**given, cache_dir=tmp_path / "own")).read_text() == "1"
    push(api, release(tmp_path / "one", "mine", config="2"))
    assert hub.repository("me/mine").private and hub.repository("me/mine").files["config.json"] == b"2"


def test_a_public_repository_is_not_taken_for_private(hub, api, tmp_path):
    push(api, release(tmp_path / "one", "public", config="1"))
    with refused("publish_public", name="me/public"):
        push(api, release(tmp_path / "one", "public", config="2"), private=True)
    assert hub.repository("me/public").files == {"config.json": b"1"}


def test_tokens_that_do_not_do(hub, tmp_path):
    with pytest.raises(HubError, match=r"token \(.*`hf auth login`"):
        check_token(HfApi(endpoint=hub.url, token="wrong"))
    given = release(tmp_path / "one", "unwritten", config="1")
    with pytest.raises(HubError, match="me/unwritten: .*write"):
        push(HfApi(endpoint=hub.url, token=READ_TOKEN), given)
    others = Release("model", "you/model", given.folder, "Publish", "")
    with pytest.raises(HubError, match="you/model: .*write.*no rights"):
        push(HfApi(endpoint=hub.url, token=TOKEN), others)
    assert not {("models", "me/unwritten"), ("models", "you/model")} & hub.repositories.keys()


def test_without_a_token_or_a_server_it_is_one_sentence(hub, tmp_path):
    done = run_publish(hub, tmp_path, "--repo_id", "me/never", token=None)
    told = f"publish: {explain(LocalTokenNotFoundError())}"
    assert done.returncode == 1 and done.stderr.strip() == told
    with LocalHub() as gone:
        pass
    with pytest.raises(HubError, match="Connection refused"):
        check_token(HfApi(endpoint=gone.url, token=TOKEN))
    assert ("models", "me/never") not in hub.repositories


@pytest.fixture
def cut_hub(monkeypatch):
    """A Hub whose connections can be cut, and a client that does not wait between its five tries."""
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    with LocalHub() as server:
        yield server


@pytest.mark.parametrize("where", ["/store/", "/commit/", "/batch", "/preupload/"])
def test_a_cut_leaves_nothing_half_published(cut_hub, tmp_path, where):
    given = release(tmp_path / "one", "cut", config="1", large_a="a" * 5000, large_b="b" * 5000)
    api = HfApi(endpoint=cut_hub.url, token=TOKEN)
    first = release(tmp_path / "zero", "cut", config="0")
    push(api, first)
    before = list(cut_hub.repository("me/cut").commits)
    cut_hub.cut = lambda method, path: where in path
    with pytest.raises(HubError, match="me/cut: .*connection") as cut:
        push(api, given, tag="v1")
    assert "Error while uploading" not in str(cut.value)  # but what happened to it
    assert cut_hub.repository("me/cut").commits == before and cut_hub.repository("me/cut").tags == {}
    cut_hub.cut = lambda method, path: False
    cut_hub.requests.clear()
    push(api, given, tag="v1")
    files = {"config.json", "large_a.safetensors", "large_b.safetensors"}
    assert set(cut_hub.repository("me/cut").files) == files
    assert len(cut_hub.repository("me/cut").commits) == len(before) + 1
    if where == "/commit/":  # what had arrived is not sent again
        assert not [path for method, path in cut_hub.requests if method == "PUT"]


def test_a_short_cut_is_bridged(cut_hub, tmp_path):
    cuts = iter([True])
    cut_hub.cut = lambda method, path: method == "PUT" and next(cuts, False)
    push(HfApi(endpoint=cut_hub.url, token=TOKEN), release(tmp_path / "one", "cut", large_a="a" * 5000))
    assert cut_hub.repository("me/cut").files == {"large_a.safetensors": b"a" * 5000}


def test_a_stranger_gets_the_revision_asked_for(hub, api, tmp_path, tiny_config):
    models = []
    for tag, bias in (("v1", 0.5), ("v2", 0.1)):
        model = build_random(BilabialConfig.from_dict(tiny_config.to_dict()))
        with torch.no_grad():
            model.head.bias.fill_(bias)
        folder = save_checkpoint(model, BilabialFeatureExtractor(), tmp_path / tag)
        push(api, Release("model", "me/two", folder, "Publish", ""), tag=tag, private=True)
        models.append(model.animate(WAVEFORM, 16000, fps=30).numpy())
    done = run_stranger(hub, tmp_path, TRY_OUT, "me/two", "v1", token=TOKEN)
    assert done.returncode == 0, done.stderr[-3000:]
    there = json.loads(done.stdout.splitlines()[-1])
    assert np.allclose(there["coefficients"], models[0], atol=1e-6)
    assert np.allclose(there["pipeline"]["coefficients"], models[0], atol=1e-6)
    assert not np.allclose(models[0], models[1], atol=1e-2)
