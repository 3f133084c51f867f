"""The cache is shared with huggingface_hub: each finds what the other downloaded."""

import os
import subprocess

from cases_download import WEIGHTS, model_repo
from driver import Skip, read
from server import COMMIT, Hub


def python():
    """A Python with huggingface_hub."""
    for candidate in (os.environ.get("LMFAST_TEST_HF_PYTHON"), "python3"):
        if candidate and subprocess.run([candidate, "-c", "import huggingface_hub"], capture_output=True, check=False).returncode == 0:
            return candidate
    raise Skip("huggingface_hub is not installed; LMFAST_TEST_HF_PYTHON names a Python that has it")


def run_python(lmfast, hub, code, **env):
    env = lmfast.environment(hub, HF_HUB_DISABLE_XET="1", HF_HUB_DISABLE_TELEMETRY="1", **env)
    done = subprocess.run([python(), "-c", code], env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.strip()


def test_theirs_found_by_us(lmfast):
    """what snapshot_download fetched is not fetched again, and loads without the network"""
    python()
    with Hub({"org/model": model_repo()}) as hub:
        folder = run_python(lmfast, hub, 'import huggingface_hub as h; print(h.snapshot_download("org/model"))')
        assert folder == lmfast.snapshot(), folder
        hub.log.clear()
        assert lmfast.pull(hub, "org/model").path() == folder
        assert not hub.requested("/resolve/"), hub.log
    assert lmfast.run('return (require("lm.models").resolve("org/model"))').path() == folder


def test_ours_found_by_them(lmfast):
    """what lm.pull fetched is found by hf_hub_download and snapshot_download, on and off line, and by scan_cache_dir"""
    python()
    with Hub({"org/model": model_repo()}) as hub:
        folder = lmfast.pull(hub, "org/model").path()
        hub.log.clear()
        code = 'import huggingface_hub as h; print(h.hf_hub_download("org/model", "model.safetensors"))'
        assert run_python(lmfast, hub, code) == folder + "/model.safetensors"
        assert not [entry for entry in hub.log if entry[0] == "GET" and "model.safetensors" in entry[1]], hub.log
    offline = {"HF_HUB_OFFLINE": "1"}
    assert run_python(lmfast, None, code, **offline) == folder + "/model.safetensors"
    assert run_python(lmfast, None, 'import huggingface_hub as h; print(h.snapshot_download("org/model"))', **offline) == folder
    code = """import huggingface_hub as h
info = h.scan_cache_dir()
repo = next(iter(info.repos)); revision = next(iter(repo.revisions))
print(repo.repo_id, repo.repo_type, revision.commit_hash, sorted(revision.refs), revision.nb_files, [str(w) for w in info.warnings])"""
    assert run_python(lmfast, None, code, **offline) == f"org/model model {COMMIT} ['main'] 5 []"


def test_one_blob_for_both(lmfast):
    """files that one of them lacks are added to the same snapshot"""
    python()
    with Hub({"org/model": model_repo()}) as hub:
        run_python(lmfast, hub, 'import huggingface_hub as h; h.hf_hub_download("org/model", "README.md")')
        lmfast.pull(hub, "org/model", include="model.safetensors").path()
        run_python(lmfast, hub, 'import huggingface_hub as h; h.hf_hub_download("org/model", "config.json")')
    assert sorted(os.listdir(lmfast.snapshot())) == ["README.md", "config.json", "model.safetensors"]
    assert read(lmfast.snapshot() + "/model.safetensors") == WEIGHTS


def test_same_places(lmfast):
    """endpoint, cache and token are found where huggingface_hub finds them"""
    python()
    code = """import huggingface_hub as h, huggingface_hub.constants as c
print(c.ENDPOINT, c.HF_HUB_CACHE, c.is_offline_mode() if hasattr(c, "is_offline_mode") else c.HF_HUB_OFFLINE, h.get_token() is not None)"""
    ours = """local s = require("lm.engine.hub").settings()
        return ("%s %s %s %s"):format(s.endpoint, s.cache, s.offline and "True" or "False", s.has_token and "True" or "False")"""
    os.makedirs(lmfast.home + "/.cache/huggingface")
    with open(lmfast.home + "/.cache/huggingface/token", "w", encoding="ascii") as file:
        file.write("hf_x")
    blank = {"HF_HUB_CACHE": "", "HF_ENDPOINT": ""}
    settings = [{}, {"HF_HOME": "/tmp/hf"}, {"XDG_CACHE_HOME": "/tmp/xdg"}, {"HF_HOME": "$HOME/a", "HF_TOKEN": "t"}, {"HF_HUB_OFFLINE": "yes"},
                {"TRANSFORMERS_OFFLINE": "1"}, {"HUGGINGFACE_HUB_CACHE": "~/c"}, {"HF_TOKEN_PATH": "~/nothing"}]
    for setting in settings:
        def without(env, setting=setting):
            return {name: value for name, value in env.items() if name in setting or value != ""}
        env = without({**lmfast.environment(), **blank, **setting})
        theirs = subprocess.run([python(), "-c", code], env=env, capture_output=True, text=True, check=True).stdout.strip()
        mine = subprocess.run([lmfast.binary, "-e", f"print((function() {ours} end)())"], env=env, capture_output=True, text=True, check=True).stdout.strip()
        assert mine == theirs, (setting, mine, theirs)
