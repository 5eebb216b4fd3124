"""What is known about a recording besides its samples."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from neurodata.checks import recording_id_problem


def _check_id(value: str) -> str:
    problem = recording_id_problem(value)
    if problem:
        raise ValueError(problem)
    return value


def _check_binomial(value: str) -> str:
    if value != "unknown" and not re.fullmatch(r"[A-Z][a-z]+ [a-z-]+( [a-z-]+)?", value):
        raise ValueError(f"expected a Latin binomial such as 'Caenorhabditis elegans', or 'unknown', got {value!r}")
    return value


def _check_iso(value: str) -> str:
    if not re.fullmatch(r"\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?", value):
        raise ValueError(f"expected an ISO 8601 date or date and time, got {value!r}")
    return value


def _check_age(value: str) -> str:
    if not re.fullmatch(r"P(?!$)(\d+(\.\d+)?[YMWD])*(T(\d+(\.\d+)?[HMS])+)?", value):
        raise ValueError(f"expected an ISO 8601 duration such as 'P90D', got {value!r}; a stage goes into 'stage'")
    return value


def _check_sha256(value: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{64}", value):
        raise ValueError(f"expected 64 hexadecimal digits, got {value!r}")
    return value


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Subject(_Strict):
    """Whom the recording is of; names and birth dates have no place here."""

    id: Annotated[str, Field(min_length=1, max_length=200)]
    species: Annotated[str, AfterValidator(_check_binomial)]
    sex: Literal["M", "F", "O", "U", "XX", "XO"] = "U"
    age: Annotated[str, AfterValidator(_check_age)] | None = None
    stage: str | None = None
    strain: str | None = None
    description: str | None = None


class SourceFile(_Strict):
    """A raw file a recording was made from: its name (no folder), size in bytes and sha256."""

    name: str
    n_bytes: Annotated[int, Field(ge=0)]
    sha256: Annotated[str, AfterValidator(_check_sha256)]


class LoaderUsed(_Strict):
    """The loader that read the raw files, its version, and the options it was given."""

    name: str
    version: int
    options: dict[str, str | int | float | bool | None] = Field(default_factory=dict)


class Metadata(_Strict):
    """Everything known about a recording besides its samples.

    ``dataset``, ``recording_id`` (``dataset/recording``), ``subject`` and ``modality`` are always there;
    ``session_start`` is ISO 8601 and may be unknown (None).
    """

    dataset: str
    recording_id: Annotated[str, AfterValidator(_check_id)]
    subject: Subject
    modality: Literal["calcium", "spikes", "eeg", "seeg", "ecog", "meg", "fmri", "lfp", "behavior", "other"]
    session_start: Annotated[str, AfterValidator(_check_iso)] | None = None
    session: str | None = None
    device: str | None = None
    task: str | None = None
    description: str | None = None
    licence: str = "unknown"
    citation: str = "unknown"
    source_files: list[SourceFile] = Field(default_factory=list)
    loader: LoaderUsed | None = None
    history: list[str] = Field(default_factory=list)
    extra: dict[str, Any] = Field(default_factory=dict)


def metadata_problems(metadata: dict[str, Any]) -> list[str]:
    """List every breach of the metadata schema, each beginning with its path."""
    problems = []
    try:
        Metadata.model_validate(metadata)
    except ValidationError as error:
        for entry in error.errors(include_url=False):
            path = "/".join(["metadata", *map(str, entry["loc"])])
            problems.append(f"{path}: {entry['msg'].removeprefix('Value error, ')}")
    recording_id = metadata.get("recording_id")
    if isinstance(recording_id, str) and recording_id.split("/")[0] != metadata.get("dataset"):
        problems.append(
            f"metadata/dataset: {metadata.get('dataset')!r} is not the first part of the recording id {recording_id!r}"
        )
    return problems
