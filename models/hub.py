"""The one file that speaks with the hub: checkpoints are pushed to a repository there, and fetched from one."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurodata.errors import CheckpointError

from .array_task import ArrayTask
from .checkpoints import CARD, CONFIG, WEIGHTS, Fitted, save_pretrained
from .task import Task
from .weights import StoredAs

if TYPE_CHECKING:
    from huggingface_hub import HfApi

FILES = (WEIGHTS, CONFIG, CARD)
"""All that is pushed, and all that is ever fetched: whatever else a repository holds stays there."""


def push_to_hub(
    task: Task | ArrayTask | Fitted,
    repo_id: str,
    manifest: Mapping[str, Any],
    *,
    private: bool = False,
    revision: str | None = None,
    token: str | None = None,
    commit_message: str = "Upload a neurodata checkpoint",
    dtype: StoredAs = "float32",
) -> str:
    """Save a model to a repository on the hub, in one commit; returns the commit's address.

    Parameters
    ----------
    task, manifest, dtype
        As for `save_pretrained`.
    repo_id
        ``owner/name``; made where it is missing. Files of other names that it holds stay as they are.
    private
        Whether a repository that is made is private. One that exists keeps what it is, and a public one is refused.
    revision
        The branch to commit to, made from ``main`` where it is missing; ``main`` if None.
    token
        Lets one write. If None, the environment variable ``HF_TOKEN``, or what ``hf auth login`` stored.
    commit_message
        First line of the commit.

    Raises
    ------
    CheckpointError
        If there is no token, the repository or the token is refused, or the hub cannot be reached; says what to do.
        Nothing is committed then, unless the hub's last answer was lost. Also as `save_pretrained` does.
    """
    if not isinstance(repo_id, str) or repo_id.count("/") != 1:
        raise CheckpointError(f"a repository is 'owner/name', got {repo_id!r}")
    with tempfile.TemporaryDirectory() as made:
        save_pretrained(task, made, manifest, dtype=dtype)
        try:
            return _commit(Path(made), repo_id, private, revision, token, commit_message)
        except CheckpointError:
            raise
        except Exception as error:  # the hub's client raises many kinds
            why = f"{_explain(error, repo_id, revision)}. "
            why += "Nothing was committed" if _is_refusal(error) else "Pushing again makes no second commit of the same"
            raise CheckpointError(f"{repo_id!r} could not be pushed to the hub: {why}") from error


def _commit(folder: Path, repo_id: str, private: bool, revision: str | None, token: str | None, message: str) -> str:
    from huggingface_hub import CommitOperationAdd, HfApi, get_token

    api = HfApi(endpoint=_endpoint(), token=token or get_token(), library_name="neurodata")
    if not api.token:
        raise CheckpointError(
            f"{repo_id!r} could not be pushed to the hub: there is no token. Make one with write permission at "
            f"{api.endpoint}/settings/tokens; then pass token=…, set HF_TOKEN, or run 'hf auth login'"
        )
    _make_repository(api, repo_id, private, revision)
    files = [CommitOperationAdd(path_in_repo=name, path_or_fileobj=str(folder / name)) for name in FILES]
    done = api.create_commit(repo_id, files, commit_message=message, revision=revision)
    return str(done.commit_url)


def _make_repository(api: HfApi, repo_id: str, private: bool, revision: str | None) -> None:
    """Make the repository, and the branch, where they are missing."""
    api.create_repo(repo_id, private=private, exist_ok=True)
    if private and not api.model_info(repo_id).private:  # it was there before
        raise CheckpointError(
            f"{repo_id!r} is public on the hub, private=True was asked for. Make it private at "
            f"{api.endpoint}/{repo_id}/settings, or push to another name; nothing was committed"
        )
    if revision is not None:
        api.create_branch(repo_id, branch=revision, exist_ok=True)


def fetch(
    name: str, *, revision: str | None = None, cache_dir: str | Path | None = None, local_files_only: bool = False
) -> Path:
    """Return the folder of a checkpoint on the hub, downloaded into the cache unless it is there already.

    Parameters
    ----------
    name
        ``owner/name``.
    revision, cache_dir, local_files_only
        As for ``huggingface_hub.snapshot_download``.

    Raises
    ------
    CheckpointError
        If there is no such repository or revision, it may not be read, the hub cannot be reached, or what came is not
        what the hub holds.
    """
    from huggingface_hub import snapshot_download

    try:
        found = snapshot_download(
            name,
            revision=revision,
            cache_dir=cache_dir,
            local_files_only=local_files_only,
            allow_patterns=list(FILES),
            endpoint=_endpoint(),
            library_name="neurodata",
        )
    except Exception as error:  # the hub's client raises many kinds; each means that we have no checkpoint
        why = "it is not in the cache, and local_files_only=True; fetch it once without" if local_files_only else ""
        why = why or _explain(error, name, revision)
        raise CheckpointError(f"{name!r} could not be fetched from the hub: {why}") from error
    folder = Path(found)
    if not (folder / CONFIG).is_file():
        raise CheckpointError(f"{name!r} on the hub is no neurodata checkpoint: expected {WEIGHTS} and {CONFIG} in it")
    _check_digest(folder / WEIGHTS, name)
    return folder


def _check_digest(path: Path, name: str) -> None:
    """Hash what was downloaded: the client compares sizes only. (It names large files by the digest the hub gives.)"""
    stored = Path(os.path.realpath(path))
    if re.fullmatch(r"[0-9a-f]{64}", stored.name) and stored.is_file():  # else a copy, where links are impossible
        with stored.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != stored.name:
            raise CheckpointError(
                f"{WEIGHTS} of {name!r} is damaged: its sha256 is {found}, the hub's is {stored.name}. "
                f"Delete {str(stored)!r} and fetch it again"
            )


def _endpoint() -> str | None:
    """The hub's address; the client itself reads the variable only when it is imported."""
    return os.environ.get("HF_ENDPOINT") or None


def _explain(error: Exception, repo_id: str, revision: str | None) -> str:
    """What went wrong, in words, and what to do next."""
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        OfflineModeIsEnabled,
        RevisionNotFoundError,
    )

    endpoint = _endpoint() or constants.ENDPOINT
    causes = _causes(error)
    if any(isinstance(cause, OfflineModeIsEnabled) for cause in causes):
        return "HF_HUB_OFFLINE is set; unset the variable, and run it again"
    answered = next((cause for cause in causes if isinstance(cause, HfHubHTTPError)), None)
    if answered is None:
        told = " ".join(str(causes[-1]).split())
        if isinstance(error, HFValidationError) or "README.md" in told:
            return told
        return f"{type(causes[-1]).__name__}: {told}. Check {endpoint}, the network, and HF_ENDPOINT if it is set"
    status, said = answered.response.status_code, " ".join((answered.server_message or "").split()) or "no reason given"
    if isinstance(answered, RevisionNotFoundError):
        return f"it has no revision {revision!r}; see {endpoint}/{repo_id}/tree/main"
    if isinstance(answered, GatedRepoError):
        return f"its owner grants access one by one; ask for it at {endpoint}/{repo_id}, then set HF_TOKEN"
    if status == 401 and "credentials" in said.lower():
        return f"the token was refused ({said}); make a new one at {endpoint}/settings/tokens"
    if status in (401, 404):
        return f"there is none at {endpoint}, or it is private; check the name, and set HF_TOKEN if it is private"
    if status == 403:
        return f"this token may not ({said}); use one with write permission for {repo_id.split('/')[0]!r}"
    later = "; it is the hub's fault, try again later" if status >= 500 or status == 429 else ""
    return f"the hub answered {status} ({said}){later}"


def _is_refusal(error: Exception) -> bool:
    """Whether a push was surely refused; else the commit may have been made and its answer lost."""
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    causes = _causes(error)
    answers = [cause.response.status_code for cause in causes if isinstance(cause, HfHubHTTPError)]
    return any(isinstance(cause, (HFValidationError, OfflineModeIsEnabled)) for cause in causes) or bool(
        answers and answers[0] < 500
    )


def _causes(error: BaseException) -> list[BaseException]:
    """An error and what it came from, the first cause last."""
    chain = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None and cause not in chain:
        chain.append(cause)
    return chain
