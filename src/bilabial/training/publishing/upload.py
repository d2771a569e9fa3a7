"""A release on the Hub: a folder becomes one commit, and the commit a tag.

The commit is atomic, and repeating it with the same files changes nothing.
"""

import hashlib
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, HTTPError, LocalTokenNotFoundError
from huggingface_hub.hf_api import RepoFile

from bilabial.errors import UserError

# Files of an earlier release that this one lacks are removed; files added by others stay.
OWNED = {
    "model": ["*.py", "*.json", "*.safetensors", "*.png"],
    "dataset": ["data/*.parquet"],
    "space": ["app.py", "src/*"],
}
TOKEN_ADVICE = "run `hf auth login`, or put a token with write access into HF_TOKEN"


class HubError(OSError):
    """The Hub refused an upload, or cannot be reached."""


@dataclass(frozen=True)
class Release:
    """A folder and its target. kind: model, dataset or space."""

    kind: str
    repo_id: str
    folder: Path
    message: str
    description: str


def check_token(api: HfApi) -> None:
    """Raise HubError unless the user is logged in."""
    try:
        api.whoami()
    except (LocalTokenNotFoundError, HTTPError) as error:
        raise HubError(explain(error)) from error


def push(api: HfApi, release: Release, private: bool = False, tag: str | None = None) -> str:
    """Publish a release; returns its address.

    Raises HubError, or ValueError for an unsuitable repository.
    """
    try:
        return _push(api, release, private, tag)
    except (HTTPError, OSError, RuntimeError) as error:  # of requests, of the Xet client, of threads
        raise HubError(f"{release.kind} {release.repo_id}: {explain(error)}") from error


def _push(api: HfApi, release: Release, private: bool, tag: str | None) -> str:
    repository = {"repo_id": release.repo_id, "repo_type": release.kind}
    sdk = {"space_sdk": "gradio"} if release.kind == "space" else {}
    api.create_repo(**repository, private=private or None, exist_ok=True, **sdk)
    if private and not api.repo_info(**repository).private:
        raise UserError("publish_public", kind=release.kind, name=release.repo_id)
    tagged = {ref.name: ref.target_commit for ref in api.list_repo_refs(**repository).tags}
    if tag in tagged:
        changed = changed_paths(api, release, tag)
        if changed:
            raise UserError(
                "publish_tag_used",
                kind=release.kind,
                name=release.repo_id,
                tag=tag,
                commit=tagged[tag][:8],
                file=changed[0],
            )
        return f"{_address(api, release)}/tree/{tag} (it was there already)"
    commit = api.upload_folder(
        **repository,
        folder_path=release.folder,
        commit_message=release.message,
        commit_description=release.description,
        delete_patterns=OWNED[release.kind],
    )
    if tag:
        api.create_tag(**repository, tag=tag, revision=commit.oid)
    return f"{_address(api, release)}/tree/{tag or commit.oid}"


def _address(api: HfApi, release: Release) -> str:
    prefix = {"model": "", "dataset": "datasets/", "space": "spaces/"}[release.kind]
    return f"{api.endpoint}/{prefix}{release.repo_id}"


def changed_paths(api: HfApi, release: Release, revision: str) -> list[str]:
    """Paths whose files differ between a release's folder and the repository at a revision."""
    tree = api.list_repo_tree(release.repo_id, recursive=True, revision=revision, repo_type=release.kind)
    there = {
        one.path: one.lfs.sha256 if one.lfs else one.blob_id for one in tree if isinstance(one, RepoFile)
    }
    files = [path for path in release.folder.rglob("*") if path.is_file()]
    here = {path.relative_to(release.folder).as_posix(): path for path in files}
    changed = [name for name, path in here.items() if there.get(name) not in content_ids(path)]
    gone = [
        name
        for name in there.keys() - here.keys()
        if any(fnmatch(name, pattern) for pattern in OWNED[release.kind])
    ]
    return sorted(changed + gone)


def content_ids(path: Path) -> tuple[str, str]:
    """The Hub's identifier of a file's content: as a large file (SHA-256) and as a file of git (its blob)."""
    large, blob = hashlib.sha256(), hashlib.sha1(b"blob %d\0" % path.stat().st_size)
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            large.update(chunk)
            blob.update(chunk)
    return large.hexdigest(), blob.hexdigest()


def explain(error: BaseException) -> str:
    """The message of an upload error."""
    if isinstance(error, RuntimeError) and error.__cause__:
        error = error.__cause__  # caused the failure of an upload thread
    if isinstance(error, LocalTokenNotFoundError):
        return f"there is no token for the Hub; {TOKEN_ADVICE}"
    if not isinstance(error, HfHubHTTPError):
        return f"the connection to the Hub broke ({error}); the same command goes on, and sends nothing twice"
    status = error.response.status_code
    text = (error.server_message or error.response.reason_phrase).replace("\n", "; ")
    if status == 401:
        return f"the Hub does not accept the token ({text}); {TOKEN_ADVICE}"
    if status == 403:
        return f"the token may not write there ({text}); {TOKEN_ADVICE}"
    return f"the Hub answered {status}: {text}"
