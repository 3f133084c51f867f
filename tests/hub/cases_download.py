"""What is downloaded, where it goes, and what a second call costs."""

import os
import random

from driver import read
from server import COMMIT, Hub, Repo

WEIGHTS = random.Random(1).randbytes(3_000_000)
FILES = {
    "config.json": b'{"model_type": "llama"}', "tokenizer.json": b"{}", "README.md": b"# read me", "LICENSE": b"text",
    "model.safetensors": WEIGHTS, "pytorch_model.bin": b"old", "onnx/model.onnx": b"not for us", "consolidated.safetensors": b"c",
    "1_Pooling/config.json": b"{}",
}
LFS = ("model.safetensors", "pytorch_model.bin", "onnx/model.onnx", "consolidated.safetensors")
GGUF = {"README.md": b"x", "m-Q4_K_M.gguf": b"GGUF4", "m-Q4_K_S.gguf": b"GGUF4s", "m-Q8_0.gguf": b"GGUF88888",
        "big-F16-00001-of-00002.gguf": b"GGUF-1", "big-F16-00002-of-00002.gguf": b"GGUF-2", "mmproj-F16.gguf": b"eye"}


def model_repo(**more):
    return Repo(dict(FILES), LFS, **more)


def test_layout(lmfast):
    """the default files arrive in the standard layout, as relative links to blobs named by their hashes"""
    with Hub({"org/model": model_repo()}) as hub:
        folder = lmfast.pull(hub, "org/model").path()
        repo = hub.repos["org/model"]
    assert folder == lmfast.snapshot()
    found = sorted(os.path.relpath(os.path.join(at, name), folder) for at, _, names in os.walk(folder) for name in names)
    assert found == ["1_Pooling/config.json", "LICENSE", "config.json", "model.safetensors", "tokenizer.json"], found
    for name in found:
        link = os.readlink(f"{folder}/{name}")
        assert link == "../" * (name.count("/") + 2) + "blobs/" + repo.etag(name), link
        with open(f"{folder}/{name}", "rb") as file:
            assert file.read() == FILES[name]
    with open(lmfast.repo() + "/refs/main", encoding="ascii") as file:
        assert file.read() == COMMIT
    assert lmfast.partials() == []


def test_second_call(lmfast):
    """what is there is not asked for again, and a file that is missing is"""
    with Hub({"org/model": model_repo()}) as hub:
        lmfast.pull(hub, "org/model").path()
        hub.log.clear()
        lmfast.pull(hub, "org/model").path()
        assert [entry[1] for entry in hub.log] == ["/api/models/org/model/revision/main?blobs=true"]
        os.remove(os.path.realpath(lmfast.snapshot() + "/model.safetensors"))
        hub.log.clear()
        lmfast.pull(hub, "org/model").path()
        assert len(hub.requested("resolve")) == 1 and "model.safetensors" in hub.log[1][1]


def test_token_stays_home(lmfast):
    """the token goes to the endpoint and not to the storage it redirects to"""
    with Hub({"org/model": model_repo(private=True)}) as hub:
        lmfast.pull(hub, "org/model", env={"HF_TOKEN": hub.token}).path()
        assert hub.requested("/resolve/") and hub.requested("/cdn/")
        for _, path, headers in hub.log:
            assert (headers.get("Authorization") is None) == path.startswith("/cdn/"), path


def test_token_file(lmfast):
    """the token of `hf auth login` is found below HF_HOME"""
    os.makedirs(lmfast.home + "/hf")
    with Hub({"org/model": model_repo(private=True)}) as hub:
        with open(lmfast.home + "/hf/token", "w", encoding="ascii") as file:
            file.write(hub.token + "\n")
        env = {"HF_HOME": "~/hf", "HF_HUB_CACHE": "", "HUGGINGFACE_HUB_CACHE": ""}
        folder = lmfast.pull(hub, "org/model", env=env).path()
        assert folder.startswith(lmfast.home + "/hf/hub/models--org--model/"), folder


def test_signed_addresses(lmfast):
    """percent signs in a redirect's address arrive as they were sent"""
    with Hub({"org/model": model_repo()}) as hub:
        lmfast.pull(hub, "org/model").path()
        assert all(path.endswith("?signature=a%2Fb") for _, path, _ in hub.requested("/cdn/"))


def test_expired_address(lmfast):
    """when a storage address has expired, a new one is asked for"""
    with Hub({"org/model": model_repo()}) as hub:
        hub.faults["expired"] = (1, 3, 7)
        lmfast.pull(hub, "org/model", include="model.safetensors").fails("denied", "403")
        folder = lmfast.fetch(hub, connections=1, part_bytes=500000).path()
        assert read(folder + "/model.safetensors") == WEIGHTS
        assert len(hub.requested("/resolve/.*/model.safetensors")) == 4, [path for _, path, _ in hub.log]


def test_parts(lmfast):
    """a large file comes in parts over several connections; each byte once"""
    with Hub({"org/model": model_repo()}) as hub:
        assert read(lmfast.fetch(hub, part_bytes=250000).path() + "/model.safetensors") == WEIGHTS
        ranges = sorted(headers["Range"] for _, path, headers in hub.requested("/cdn/.*model.safetensors"))
        assert len(ranges) == 12 and len(set(ranges)) == 12, ranges
        assert hub.sent == len(WEIGHTS)


def test_names_only(lmfast):
    """a server whose API lists names only is asked for the rest by HEAD, which follows no redirect"""
    with Hub({"org/model": model_repo()}) as hub:
        hub.faults["names_only"] = True
        folder = lmfast.pull(hub, "org/model").path()
        assert os.readlink(folder + "/model.safetensors").endswith(hub.repos["org/model"].etag("model.safetensors"))
        heads = [path for method, path, _ in hub.log if method == "HEAD"]
        assert len(heads) == 5 and all("/resolve/" in path for path in heads), heads


def test_revision(lmfast):
    """branches, tags with slashes and commits"""
    with Hub({"org/model": model_repo(revisions=("main", "refs/pr/1", "v1"))}) as hub:
        for name in ("org/model@refs/pr/1", "org/model@v1", "org/model@" + COMMIT):
            assert lmfast.pull(hub, name).path() == lmfast.snapshot()
        assert lmfast.pull(hub, "org/model", revision="v1").path() == lmfast.snapshot()
    assert sorted(os.listdir(lmfast.repo() + "/refs")) == ["refs", "v1"]
    assert os.path.isfile(lmfast.repo() + "/refs/refs/pr/1")
    lmfast.pull(None, "org/model@v1", revision="v2").fails("bad_option", "twice")


def test_patterns(lmfast):
    """include and exclude are the shell patterns of huggingface_hub"""
    with Hub({"org/model": model_repo()}) as hub:
        folder = lmfast.pull(hub, "org/model", include=["*.json", "onnx/"], exclude="tokenizer*").path()
        found = sorted(os.path.relpath(os.path.join(at, name), folder) for at, _, names in os.walk(folder) for name in names)
        assert found == ["1_Pooling/config.json", "config.json", "onnx/model.onnx"], found
        lmfast.pull(hub, "org/model", include="*.ggml").fails("not_found", "no file of org/model matches")


def test_gguf(lmfast):
    """one file of many is named by its type; split files count as one; none named lists them with sizes"""
    with Hub({"org/model": Repo(dict(GGUF), [name for name in GGUF if name.endswith("gguf")])}) as hub:
        text = lmfast.pull(hub, "org/model").fails("bad_option", "4 GGUF files", "m-Q4_K_M.gguf", "5 B", "big-F16.gguf", "12 B", "org/model:")
        assert "mmproj" not in text
        assert lmfast.pull(hub, "org/model:Q4_K_M").path() == lmfast.snapshot() + "/m-Q4_K_M.gguf"
        assert lmfast.pull(hub, "org/model:q8_0").path().endswith("/m-Q8_0.gguf")
        assert lmfast.pull(hub, "org/model:F16").path().endswith("/big-F16-00001-of-00002.gguf")
        assert os.path.exists(lmfast.snapshot() + "/big-F16-00002-of-00002.gguf")
        lmfast.pull(hub, "org/model:Q4_K").fails("not_found", "no GGUF file \"Q4_K\"", "m-Q4_K_S.gguf")
        assert lmfast.pull(hub, "org/model", include="*Q8_0*").path().endswith("/m-Q8_0.gguf")


def test_licence(lmfast):
    """a licence that is not open is named with the size before anything is downloaded"""
    with Hub({"org/model": model_repo(license_id="llama3.2"), "org/none": model_repo(license_id=None)}) as hub:
        lmfast.pull(hub, "org/model").fails("denied", '"llama3.2"', "2.9 MiB", "accept_license = true", hub.endpoint + "/org/model")
        assert not hub.requested("/resolve/") and not os.path.exists(lmfast.repo())
        lmfast.pull(hub, "org/none").fails("denied", "states no licence")
        lmfast.pull(hub, "org/model", accept_license=True).path()
        lmfast.pull(hub, "org/model").path()  # it is there: nothing to accept


def test_offline(lmfast):
    """offline mode and a dead network use the cache only"""
    with Hub({"org/model": model_repo()}) as hub:
        lmfast.pull(hub, "org/model", env={"HF_HUB_OFFLINE": "1"}).fails("unsupported", "offline mode", "HF_HUB_OFFLINE")
        assert not hub.log
        lmfast.pull(hub, "org/model").path()
        hub.log.clear()
        assert lmfast.pull(hub, "org/model", env={"HF_HUB_OFFLINE": "1"}).path() == lmfast.snapshot()
        assert not hub.log
    result = lmfast.pull(None, "org/model", retries=0)
    assert result.path() == lmfast.snapshot() and "using what the cache has" in result.stderr
    lmfast.pull(None, "org/other", retries=0).fails("network", "127.0.0.1:9")


def test_progress_in_a_job(lmfast):
    """background = true returns a job with progress, and its result is the path"""
    with Hub({"org/model": model_repo()}) as hub:
        hub.faults["slow"] = 3_000_000
        code = """local job = lm.pull{ "org/model", background = true }
            local seen, message = 0, ""
            while job:wait(0.05) == "running" do
              if (job.progress or 0) > seen then seen, message = job.progress, job.message end
            end
            return { path = job:result(), seen = seen, message = message }"""
        result = lmfast.run(code, hub)
        assert result.ok, result.error
        assert result.value["path"] == lmfast.snapshot()
        assert 0 < result.value["seen"] <= 1 and "pulling org/model" in result.value["message"] and "MiB/s" in result.value["message"]
