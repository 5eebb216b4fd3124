"""Checkpoints go to a hub and come back: the real client against a hub on this machine, no network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from huggingface_hub import close_session, constants
from safetensors.torch import load

import neurodata as nd
from neurodata.errors import CheckpointError
from neurodata.models.checkpoints import CARD, CONFIG, WEIGHTS

pytestmark = pytest.mark.filterwarnings(
    "ignore:Use 'content=<...>' to upload raw bytes:DeprecationWarning"  # huggingface_hub 2.4 calls httpx2 the old way
)

MANIFEST = {"trained_on": {"made_up/w1": "ab" * 32}, "split_sha256": "ef" * 32, "seed": 3, "licence": "CC-BY-4.0"}
NAME = "lab/worm"
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def hub(hub_server, tmp_path, monkeypatch):
    """An empty hub that the client talks to.

    The client reads most variables of the environment once, when it is imported, so those are set where it keeps them;
    what forgets to say which hub it means is refused at `NOWHERE`, a port where nothing listens.
    """
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, NOWHERE)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "ENDPOINT", NOWHERE)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    for name in ("HF_OIDC_RESOURCE", "HUGGING_FACE_HUB_TOKEN", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with hub_server.run_hub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_TOKEN", hub_server.WRITE)
        close_session()
        yield hub
        close_session()


@pytest.fixture
def task(spec, task_of):
    return task_of("decode", "gru", spec).eval()


@pytest.fixture
def files(task, tmp_path):
    """A checkpoint as bytes, to be put into a repository behind the client's back."""
    nd.save_pretrained(task, tmp_path / "saved", MANIFEST)
    return {path.name: path.read_bytes() for path in (tmp_path / "saved").iterdir()}


def same(task, other, batch):
    return torch.equal(task.predict_step(batch, 0), other.predict_step(batch, 0))


def fetched(folder):
    """Names of all files below the cache that hold what came from a repository."""
    return sorted(path.name for path in Path(folder).glob("*/snapshots/**/*") if path.is_file())


# --- there and back ---------------------------------------------------------------------------------------------


def test_what_is_pushed_comes_back(hub, task, spec, batch_of):
    address = nd.push_to_hub(task, NAME, MANIFEST, commit_message="Push a made-up worm")
    sha = hub.repos[NAME].branches["main"]
    assert address == f"{hub.url}/{NAME}/commit/{sha}"
    assert hub.repos[NAME].messages[-1] == "Push a made-up worm"
    assert set(hub.repos[NAME].commits[sha]) == {".gitattributes", WEIGHTS, CONFIG, CARD}
    assert not hub.repos[NAME].private
    assert same(task, nd.from_pretrained(NAME), batch_of(spec))
    assert same(task, nd.from_pretrained(NAME, revision=sha), batch_of(spec))


def test_weights_go_to_the_storage_which_never_sees_the_token(hub, task):
    nd.push_to_hub(task, NAME, MANIFEST)
    nd.from_pretrained(NAME)
    sizes = [len(content) for content in hub.blobs.values()]
    assert max(sizes) > 10_000
    assert any(request.startswith("PUT") for request in hub.requests)
    assert f"POST /{NAME}.git/info/lfs/objects/verify" in hub.requests
    assert len(hub.storage_saw) == 2
    assert not [headers for headers in hub.storage_saw if "authorization" in map(str.lower, headers)]


def test_pushing_the_same_again_commits_nothing(hub, task):
    first = nd.push_to_hub(task, NAME, MANIFEST)
    assert nd.push_to_hub(task, NAME, MANIFEST) == first
    assert len(hub.repos[NAME].messages) == 2  # the empty repository, and one push
    assert len([request for request in hub.requests if request.startswith("PUT")]) == 1


def test_a_branch_is_made_and_each_revision_is_its_own_model(hub, spec, task_of, batch_of):
    one, two = (task_of("decode", "linear", spec, seed=seed).eval() for seed in (0, 1))
    nd.push_to_hub(one, NAME, MANIFEST)
    nd.push_to_hub(two, NAME, MANIFEST, revision="half-trained")
    assert set(hub.repos[NAME].branches) == {"main", "half-trained"}
    batch = batch_of(spec)
    assert same(one, nd.from_pretrained(NAME), batch)
    assert same(two, nd.from_pretrained(NAME, revision="half-trained"), batch)
    nd.push_to_hub(one, NAME, MANIFEST, revision="half-trained")  # a branch that is there is committed to
    assert same(one, nd.from_pretrained(NAME, revision="half-trained"), batch)


def test_files_of_others_in_the_repository_stay(hub, task):
    hub.put(NAME, {"figure.svg": b"<svg/>"})
    nd.push_to_hub(task, NAME, MANIFEST)
    held = hub.repos[NAME].commits[hub.repos[NAME].branches["main"]]
    assert held["figure.svg"] == b"<svg/>"


def test_half_precision_halves_what_is_pushed(hub, spec, task_of):
    task = task_of("decode", "transformer", spec)
    sizes = []
    for name, dtype in (("lab/a", "float32"), ("lab/b", "float16")):
        nd.push_to_hub(task, name, MANIFEST, dtype=dtype)
        weights = hub.repos[name].commits[hub.repos[name].branches["main"]][WEIGHTS]
        sizes.append(sum(w.nbytes for w in load(weights).values()))
    assert 0.49 < sizes[1] / sizes[0] < 0.6


def test_a_private_repository_is_made_private_and_read_with_a_token_only(
    hub, task, spec, batch_of, monkeypatch, tmp_path
):
    nd.push_to_hub(task, NAME, MANIFEST, private=True)
    assert hub.repos[NAME].private
    assert same(task, nd.from_pretrained(NAME), batch_of(spec))
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(
        CheckpointError, match=r"there is none at http.*, or it is private; check the name, and set HF_T"
    ):
        nd.from_pretrained(NAME, cache_dir=tmp_path / "elsewhere")


def test_a_token_may_be_given_by_hand(hub, hub_server, task, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    assert nd.push_to_hub(task, NAME, MANIFEST, token=hub_server.WRITE).startswith(hub.url)


def test_after_one_download_the_hub_may_be_gone(hub, task, spec, batch_of):
    nd.push_to_hub(task, NAME, MANIFEST)
    nd.from_pretrained(NAME)
    asked = len(hub.requests)
    assert same(task, nd.from_pretrained(NAME, local_files_only=True), batch_of(spec))
    assert len(hub.requests) == asked
    hub.stop()
    assert same(task, nd.from_pretrained(NAME, local_files_only=True), batch_of(spec))
    assert same(task, nd.from_pretrained(NAME), batch_of(spec))


def test_only_the_environment_is_needed(hub, hub_server, files, tmp_path):
    """In a process of its own, as a user has it: every setting is a variable, read as the client is imported."""
    hub.put(NAME, files, private=True)
    code = f"import neurodata as nd; print(type(nd.from_pretrained({NAME!r})).__name__)"
    settings = {
        "HF_ENDPOINT": hub.url,
        "HF_TOKEN": hub_server.READ,
        "HF_HOME": str(tmp_path),
        "HF_HUB_DISABLE_XET": "1",
    }
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | settings)
    assert (done.stdout, done.returncode) == ("Decode\n", 0), done.stderr
    assert fetched(tmp_path / "hub") == [CARD, CONFIG, WEIGHTS]


# --- only three names are ever asked for ------------------------------------------------------------------------


def test_nothing_but_the_three_files_is_downloaded(hub, files, tmp_path):
    strange = ("../evil.py", "../../evil", "sub/../../model.safetensors", "sub/config.json", "config.json.py",
               "model.safetensors.pkl", "pytorch_model.bin", "model.pkl", "/etc/evil", "golden.safetensors")  # fmt: skip
    hub.put(NAME, {**files, **dict.fromkeys(strange, b"\x80\x04evil")})
    nd.from_pretrained(NAME)
    asked = {request.rpartition("/resolve/")[2].partition("/")[2] for request in hub.requests if "/resolve/" in request}
    assert asked == {WEIGHTS, CONFIG, CARD}
    assert fetched(tmp_path / "cache") == [CARD, CONFIG, WEIGHTS]
    assert not [path for path in tmp_path.rglob("*") if "evil" in path.name or path.suffix in (".pkl", ".bin", ".py")]


# --- damage -----------------------------------------------------------------------------------------------------


def test_a_download_that_breaks_off_goes_on_where_it_stopped(hub, files, task, spec, batch_of, monkeypatch):
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1000)  # of 10 MB otherwise; what came of a piece is lost
    hub.put(NAME, files)
    hub.cut = 5500
    assert same(task, nd.from_pretrained(NAME), batch_of(spec))
    ranges = [{key.lower(): value for key, value in headers.items()}.get("range") for headers in hub.storage_saw]
    assert ranges == [None, "bytes=5000-"]


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        pytest.param(lambda b: b[: len(b) // 2], r"could not be fetched from the hub: .*should be of size", id="cut in half"),
        pytest.param(lambda b: b[:-1] + bytes([b[-1] ^ 1]), r"model.safetensors of 'lab/worm' is damaged: its sha256 is "
                     r"[0-9a-f]{64}, the hub's is [0-9a-f]{64}. Delete '/.*' and fetch it again", id="one bit flipped"),
    ],
)  # fmt: skip
def test_weights_that_are_not_what_the_hub_holds_are_refused(hub, files, spoil, text):
    hub.put(NAME, files)
    hub.spoil = spoil
    with pytest.raises(CheckpointError, match=text):
        nd.from_pretrained(NAME)


def test_a_damaged_download_can_be_deleted_and_fetched_again(hub, files, tmp_path):
    hub.put(NAME, files)
    hub.spoil = lambda content: content[:-1] + bytes([content[-1] ^ 1])
    with pytest.raises(CheckpointError, match="is damaged") as caught:
        nd.from_pretrained(NAME)
    with pytest.raises(CheckpointError, match="is damaged"):
        nd.from_pretrained(NAME, local_files_only=True)
    hub.spoil = bytes
    Path(str(caught.value).partition("Delete '")[2].partition("'")[0]).unlink()
    nd.from_pretrained(NAME)


def test_weights_that_were_pushed_damaged_are_refused(hub, files):
    hub.put(NAME, {**files, WEIGHTS: files[WEIGHTS][:3000]})
    with pytest.raises(CheckpointError, match=r"model.safetensors' cannot be read"):
        nd.from_pretrained(NAME)


@pytest.mark.parametrize("missing", [CONFIG, WEIGHTS])
def test_a_repository_without_a_checkpoint_is_named(hub, files, missing):
    hub.put(NAME, {name: content for name, content in files.items() if name != missing})
    text = {
        CONFIG: "'lab/worm' on the hub is no neurodata checkpoint: expected model.safetensors and config.json in it"
    }
    with pytest.raises(CheckpointError, match=text.get(missing, "model.safetensors' cannot be read")):
        nd.from_pretrained(NAME)


# --- what is refused, and what to do next -----------------------------------------------------------------------


@pytest.mark.parametrize("token", ["hf_read", None])
def test_an_unknown_repository_is_said_to_be_unknown(hub, monkeypatch, token):
    monkeypatch.setenv("HF_TOKEN", token) if token else monkeypatch.delenv("HF_TOKEN")
    text = rf"'lab/nowhere' could not be fetched from the hub: there is none at {hub.url}, or it is private; check the name"
    with pytest.raises(CheckpointError, match=text):
        nd.from_pretrained("lab/nowhere")


def test_an_unknown_revision_is_named(hub, files):
    hub.put(NAME, files)
    with pytest.raises(CheckpointError, match=rf"it has no revision 'v9'; see {hub.url}/lab/worm/tree/main"):
        nd.from_pretrained(NAME, revision="v9")


def test_a_refused_token_is_said_to_be_refused(hub, files, task, monkeypatch):
    hub.put(NAME, files)
    monkeypatch.setenv("HF_TOKEN", "hf_secretoldtoken")
    text = (
        rf"the token was refused \(Invalid credentials in Authorization header\); make a new one at {hub.url}/settings"
    )
    for what in (lambda: nd.from_pretrained(NAME), lambda: nd.push_to_hub(task, NAME, MANIFEST)):
        with pytest.raises(CheckpointError, match=text) as caught:
            what()
        assert "secretold" not in str(caught.value)


def test_without_a_token_nothing_is_asked(hub, task, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    text = rf"'lab/worm' could not be pushed to the hub: there is no token. Make one .* at {hub.url}/settings/tokens; then pass token=…, set HF_TOKEN"
    with pytest.raises(CheckpointError, match=text):
        nd.push_to_hub(task, NAME, MANIFEST)
    assert hub.requests == []


@pytest.mark.parametrize(
    ("token", "name"), [("hf_read", "lab/worm"), ("hf_read", "lab/new"), ("hf_write", "others/new")],
    ids=["may only read, there already", "may only read, new", "of another organisation"],
)  # fmt: skip
def test_a_token_that_may_not_write_is_told_so(hub, files, task, monkeypatch, token, name):
    hub.put(NAME, files)
    monkeypatch.setenv("HF_TOKEN", token)
    owner = name.split("/")[0]
    text = rf"this token may not \(You don't have the rights .*\); use one with write permission for '{owner}'. Nothing was"
    with pytest.raises(CheckpointError, match=text):
        nd.push_to_hub(task, name, MANIFEST)
    assert hub.repos[NAME].messages == ["put"]


def test_a_public_repository_is_not_filled_where_a_private_one_was_asked_for(hub, files, task):
    hub.put(NAME, files)
    with pytest.raises(
        CheckpointError, match=rf"'lab/worm' is public .*private at {hub.url}/lab/worm/settings, or push to"
    ):
        nd.push_to_hub(task, NAME, MANIFEST, private=True)
    assert hub.repos[NAME].messages == ["put"]


@pytest.mark.parametrize("name", ["worm", "a/b/c", "", None])
def test_a_name_that_is_no_repository_s(hub, task, name):
    with pytest.raises(CheckpointError, match=r"a repository is 'owner/name', got "):
        nd.push_to_hub(task, name, MANIFEST)


def test_a_name_the_hub_does_not_allow(hub, task):
    with pytest.raises(CheckpointError, match=r"could not be pushed to the hub: Repo id must .*'lab/two words'"):
        nd.push_to_hub(task, "lab/two words", MANIFEST)


def test_a_manifest_that_cannot_be_written_is_refused_before_anything_is_asked(hub, task):
    with pytest.raises(CheckpointError, match="are not JSON"):
        nd.push_to_hub(task, NAME, {"score": float("nan")})
    assert hub.requests == []


def test_a_hub_in_trouble_is_told_from_one_s_own_mistakes(hub, task):
    hub.status = (503, "Service is down")
    text = r"the hub answered 503 \(Service is down\); it is the hub's fault, try again later. Pushing again makes no"
    with pytest.raises(CheckpointError, match=text):
        nd.push_to_hub(task, NAME, MANIFEST)
    with pytest.raises(CheckpointError, match=r"the hub answered 503 \(Service is down\)"):
        nd.from_pretrained(NAME)


def test_a_commit_whose_answer_was_lost_is_not_made_twice(hub, task):
    hub.lose_next_commit = True
    with pytest.raises(
        CheckpointError, match=r"could not be pushed .*Error: .*Pushing again makes no second commit of the"
    ):
        nd.push_to_hub(task, NAME, MANIFEST)
    assert len(hub.repos[NAME].messages) == 2
    assert nd.push_to_hub(task, NAME, MANIFEST).endswith(hub.repos[NAME].branches["main"])
    assert len(hub.repos[NAME].messages) == 2


def test_a_hub_that_is_gone_is_said_to_be_gone(hub, task):
    hub.stop()
    began = time.monotonic()
    with pytest.raises(
        CheckpointError, match=rf"pushed to the hub: .*refused. Check {hub.url}, the network, and HF_ENDP"
    ):
        nd.push_to_hub(task, NAME, MANIFEST)
    with pytest.raises(
        CheckpointError, match=rf"fetched from the hub: .*refused.*Check {hub.url}, the network, and HF_EN"
    ):
        nd.from_pretrained(NAME)
    assert time.monotonic() - began < 20


def test_offline_it_says_so_quickly(files, tmp_path):
    """In a process of its own: the hub's client reads the variable when it is imported."""
    code = (
        "import time, neurodata as nd; from neurodata.errors import CheckpointError\n"
        f"task = nd.from_pretrained({str(tmp_path / 'saved')!r})\n"
        "began = time.monotonic()\n"
        "for ask in (lambda: nd.from_pretrained('a/b'), lambda: nd.push_to_hub(task, 'a/b', {})):\n"
        "    try: ask()\n"
        "    except CheckpointError as error: print(error, time.monotonic() - began < 10)\n"
    )
    settings = {"HF_HUB_OFFLINE": "1", "HF_TOKEN": "hf_any", "HF_HOME": str(tmp_path / "home")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | settings)
    why = "HF_HUB_OFFLINE is set; unset the variable, and run it again"
    assert done.stdout.splitlines() == [
        f"'a/b' could not be fetched from the hub: {why} True",
        f"'a/b' could not be pushed to the hub: {why}. Nothing was committed True",
    ], done.stderr


def test_local_files_only_asks_nobody(hub):
    with pytest.raises(
        CheckpointError, match=r"'lab/worm' could not .*: it is not in the cache, and local_files_only=True"
    ):
        nd.from_pretrained(NAME, local_files_only=True)
    assert hub.requests == []


# --- the card ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("licence", "word"),
    [("CC-BY-4.0", "cc-by-4.0"), ("CC BY-SA 3.0", "cc-by-sa-3.0"), ("BSD-3-Clause", "bsd-3-clause"), (None, "unknown"),
     ("MIT (the data); GPL-3.0 (the labels)", "other"), (["MIT", "ODbL"], "other")],
)  # fmt: skip
def test_the_hub_takes_the_card_whatever_the_licence_says(hub, spec, task_of, licence, word):
    manifest = {"seed": 0} | ({} if licence is None else {"licence": licence})
    nd.push_to_hub(task_of("decode", "linear", spec), NAME, manifest)
    card = hub.repos[NAME].commits[hub.repos[NAME].branches["main"]][CARD].decode()
    assert card.startswith(f"---\nlicense: {word}\nlibrary_name: neurodata\n---\n")
    if licence is not None:
        assert f"| licence | `{json.dumps(licence)}` |" in card


def test_the_stand_in_refuses_a_licence_as_the_hub_does(hub):
    from huggingface_hub import HfApi

    with pytest.raises(ValueError, match=r'"license" must be one of \[apache-2.0'):
        HfApi(endpoint=hub.url)._validate_yaml("---\nlicense: CC-BY-4.0\n---\n")
