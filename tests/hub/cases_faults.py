"""Servers, networks and disks that fail. After each fault: a clear error, and nothing that is there is damaged."""

import os
import re
import resource
import signal
import ssl
import subprocess
import threading
import time

from cases_download import FILES, LFS, WEIGHTS, model_repo
from driver import Skip, interrupt_when, read
from server import Hub, Repo


def test_dropped_connections(lmfast):
    """connections that break inside the body are taken up again where they broke"""
    with Hub({"org/model": model_repo()}) as hub:
        hub.faults.update(drop=6, drop_after=70000)
        assert read(lmfast.fetch(hub, connections=1).path() + "/model.safetensors") == WEIGHTS
        resumed = [headers["Range"] for _, _, headers in hub.requested("/cdn/") if re.match(r"bytes=\d*[1-9]\d{0,4}-", headers["Range"])]
        assert hub.faults["drop"] == 0 and len(resumed) >= 6
        assert hub.sent <= len(WEIGHTS) + 6 * 70000


def test_dropped_before_anything(lmfast):
    """a server that always breaks off is given up after the retries, and what came is kept"""
    with Hub({"org/model": model_repo()}) as hub:
        hub.faults.update(drop=1000, drop_after=1000)
        lmfast.fetch(hub, retries=1).fails("network", "model.safetensors", "call again")
        assert len(lmfast.partials()) == 1 and not os.path.exists(lmfast.snapshot() + "/model.safetensors")
        hub.faults.clear()
        assert read(lmfast.fetch(hub).path() + "/model.safetensors") == WEIGHTS
        assert lmfast.partials() == []


def test_no_ranges(lmfast):
    """a server without ranges sends the whole file once"""
    with Hub({"org/model": model_repo()}) as hub:
        hub.faults["no_ranges"] = True
        assert read(lmfast.fetch(hub).path() + "/model.safetensors") == WEIGHTS
        assert len(hub.requested("/cdn/")) == 1
        os.remove(os.path.realpath(lmfast.snapshot() + "/model.safetensors"))
        hub.faults.update(drop=1, drop_after=100000)
        assert read(lmfast.fetch(hub).path() + "/model.safetensors") == WEIGHTS


def test_chunked(lmfast):
    """bodies without a length, in chunks"""
    with Hub({"org/model": model_repo()}) as hub:
        hub.faults["chunked"] = True
        assert read(lmfast.fetch(hub).path() + "/model.safetensors") == WEIGHTS


def test_busy(lmfast):
    """429 and 503 with Retry-After are waited for; a day is too long"""
    for status in (429, 503):
        with Hub({"org/model": model_repo()}) as hub:
            hub.faults["busy"] = {"times": 2, "status": status, "after": 1}
            start = time.monotonic()
            lmfast.pull(hub, "org/model", include="config.json").path()
            assert time.monotonic() - start >= 2 and len(hub.log) == 4
            os.remove(os.path.realpath(lmfast.snapshot() + "/config.json"))
    with Hub({"org/model": model_repo()}) as hub:
        hub.faults["busy"] = {"times": 9, "status": 429, "after": 86400}
        lmfast.pull(hub, "org/model").fails("network", "too many requests", "86400 s")
        assert len(hub.log) == 1


def test_wrong_hash(lmfast):
    """a wrong SHA-256, and a wrong git blob id, remove the file and name both hashes"""
    with Hub({"org/model": model_repo()}) as hub:
        hub.faults["corrupt"] = True
        lmfast.fetch(hub).fails("bad_file", "model.safetensors", "SHA-256", hub.repos["org/model"].etag("model.safetensors"), "removed")
        assert lmfast.partials() == [] and not os.path.exists(lmfast.snapshot() + "/model.safetensors")
        lmfast.pull(hub, "org/model", include="config.json").fails("bad_file", "config.json", "git blob id",
                                                                   hub.repos["org/model"].etag("config.json"))
        assert lmfast.partials() == []
        hub.faults.clear()
        assert read(lmfast.fetch(hub).path() + "/model.safetensors") == WEIGHTS


def test_other_file_than_listed(lmfast):
    """another ETag, another size or a shifted range than promised are refused"""
    for fault, word in (("etag", "ETag"), ("longer", "bytes"), ("shifted", "asked for bytes")):
        with Hub({"org/model": model_repo()}) as hub:
            hub.faults[fault] = "0" * 64 if fault == "etag" else 1
            lmfast.fetch(hub).fails("bad_file", word)
            assert not os.path.exists(lmfast.snapshot() + "/model.safetensors")


def test_redirect_loop(lmfast):
    """an endless redirect ends"""
    with Hub({"org/model": model_repo()}) as hub:
        hub.faults["loop"] = True
        lmfast.fetch(hub).fails("denied", "redirects more than 10 times")


def test_hub_errors(lmfast):
    """what the Hub refuses is explained"""
    repos = {"org/gated": model_repo(gated="manual"), "org/model": model_repo(), "org/private": model_repo(private=True)}
    with Hub(repos) as hub:
        lmfast.pull(hub, "org/nothing").fails("not_found", '"org/nothing"', "check the name")
        lmfast.pull(hub, "org/private").fails("not_found", "private", "HF_TOKEN")
        lmfast.pull(hub, "org/model@v9").fails("not_found", 'no revision "v9"')
        lmfast.pull(hub, "org/gated").fails("denied", "gated", hub.endpoint + "/org/gated", "HF_TOKEN")
        lmfast.pull(hub, "org/gated", env={"HF_TOKEN": hub.token}).path()
        lmfast.pull(hub, "org/model", env={"HF_TOKEN": "hf_wrong"}).fails("denied", "refuses the token")
        lmfast.pull(hub, "org/model", env={"HF_TOKEN": "a b"}).fails("bad_option", "space")
    lmfast.pull(None, "org/model", env={"HF_ENDPOINT": "ftp://x"}).fails("bad_option", "HF_ENDPOINT")


def test_hostile_listings(lmfast):
    """names that leave the folder, wrong types, deep or endless JSON: refused, and nothing is written"""
    commit = b'"sha": "0123456789abcdef0123456789abcdef01234567", "cardData": {"license": "mit"}'
    bad = [b"", b"[]", b"{", b"\xff", b"{}", b'{"sha": 1}', b'{"sha": "../../x", "siblings": []}', b"{" + commit + b"}",
           b"{" + commit + b', "siblings": 3}', b"{" + commit + b', "siblings": [1]}', b"[" * 100000,
           b"{" + commit + b', "siblings": [{"rfilename": "a.gguf", "size": -1}]}',
           b"{" + commit + b', "siblings": [{"rfilename": "a.gguf", "size": 1e300}]}',
           b"{" + commit + b', "siblings": [{"rfilename": "a.gguf", "blobId": "../../x"}]}',
           b"{" + commit + b', "siblings": [{"rfilename": "a.gguf", "lfs": {"sha256": "zz"}}]}',
           b"{" + commit + b', "siblings": [{"rfilename": "a.gguf"}, {"rfilename": "a.gguf"}]}']
    names = ["../x.gguf", "/etc/x.gguf", "a/../../x.gguf", "a//x.gguf", "./x.gguf", "a\\\\..\\\\x.gguf", "x\\u0000.gguf", "x\\n.gguf", "..",
             "", "a/", "y" * 300 + ".gguf"]
    bad += [b"{" + commit + b', "siblings": [{"rfilename": "' + name.encode() + b'"}]}' for name in names]
    with Hub({"org/model": model_repo()}) as hub:
        for listing in bad:
            hub.faults["raw_listing"] = listing
            lmfast.pull(hub, "org/model", include="*", accept_license=True).fails("bad_file", "org/model")
        assert not os.path.exists(lmfast.repo())
        hub.faults["raw_listing"] = b" " * (65 << 20)
        lmfast.pull(hub, "org/model").fails("bad_file", "larger than")


def test_not_http(lmfast):
    """bytes that are no HTTP, headers without end, silence"""
    for fault, value, code in (("garbage", True, "network"), ("endless_headers", True, "network"), ("silent", 4, "timeout")):
        with Hub({"org/model": model_repo()}) as hub:
            hub.faults[fault] = value
            lmfast.pull(hub, "org/model", retries=0, env={"HF_HUB_DOWNLOAD_TIMEOUT": "2"}).fails(code, "127.0.0.1")


def test_interrupt(lmfast):
    """Ctrl-C ends it at once, and the next call goes on from there"""
    with Hub({"org/model": model_repo()}) as hub:
        hub.faults["slow"] = 400_000
        process = lmfast.start('return lm.pull{ "org/model", include = "model.safetensors" }', hub)
        begin = time.monotonic()
        interrupt_when(process, lambda: hub.sent > 500_000)
        assert time.monotonic() - begin < 20
        assert len(lmfast.partials()) == 1
        hub.faults.clear()
        hub.sent = 0
        assert read(lmfast.pull(hub, "org/model", include="model.safetensors").path() + "/model.safetensors") == WEIGHTS
        assert hub.sent < len(WEIGHTS) - 300_000, f"{hub.sent} bytes were sent again"


def test_kill(lmfast):
    """even when it is killed, the next call goes on from the last record"""
    with Hub({"org/model": model_repo()}) as hub:
        hub.faults["slow"] = 200_000
        process = lmfast.start('return lm.pull{ "org/model", include = "model.safetensors" }', hub)
        begin = time.monotonic()
        interrupt_when(process, lambda: hub.sent > 300_000 and time.monotonic() - begin > 4, signal.SIGKILL)
        hub.faults.clear()
        hub.sent = 0
        assert read(lmfast.pull(hub, "org/model", include="model.safetensors").path() + "/model.safetensors") == WEIGHTS
        assert hub.sent < len(WEIGHTS), "nothing was kept"


def test_damaged_partial(lmfast):
    """a partial file that was spoilt meanwhile is found out by the hash, and fetched anew by the next call"""
    with Hub({"org/model": model_repo()}) as hub:
        hub.faults.update(drop=1000, drop_after=150000)
        lmfast.fetch(hub, retries=0, part_bytes=1000000).fails("network")
        path = f"{lmfast.repo()}/blobs/{lmfast.partials()[0]}"
        with open(path, "r+b") as file:
            file.write(b"spoilt")
        hub.faults.clear()
        lmfast.fetch(hub, part_bytes=1000000).fails("bad_file", "SHA-256")
        assert read(lmfast.fetch(hub).path() + "/model.safetensors") == WEIGHTS
        os.remove(os.path.realpath(lmfast.snapshot() + "/model.safetensors"))
        for junk in (b"", b"x" * 100, b"\0" * (len(WEIGHTS) + 24), WEIGHTS + b"lmpart01" + b"\xff" * 48):
            with open(path, "wb") as file:
                file.write(junk)
            assert read(lmfast.fetch(hub).path() + "/model.safetensors") == WEIGHTS
            os.remove(os.path.realpath(lmfast.snapshot() + "/model.safetensors"))


def test_file_size_limit(lmfast):
    """a disk that takes no more: the error says so, the session goes on, nothing half is left under a final name"""
    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
    with Hub({"org/model": model_repo()}) as hub:
        lmfast.fetch(hub, preexec=limit).fails("io", "File too large")
        assert not os.path.exists(lmfast.snapshot() + "/model.safetensors")
        assert read(lmfast.fetch(hub).path() + "/model.safetensors") == WEIGHTS


def test_full_disk(lmfast):
    """a full disk is noticed before the download; one that fills up meanwhile ends it, and it goes on later"""
    disk = lmfast.home + "/disk"
    os.mkdir(disk)
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", disk], capture_output=True, check=False).returncode:
        raise Skip("a small file system cannot be mounted here")
    try:
        with Hub({"org/model": Repo({**FILES, "other.bin": os.urandom(3_000_000)}, LFS + ("other.bin",))}) as hub:
            env = {"HF_HUB_CACHE": disk + "/hub"}
            lmfast.pull(hub, "org/model", include="*", env=env).fails("io", "too full", "MB left")
            assert not hub.requested("/resolve/")
            # The first file reserves its space; something else takes the rest while it is under way.
            hub.faults["slow"] = 1_000_000
            process = lmfast.start('return lm.pull{ "org/model", include = "model.safetensors" }', hub, **env)
            while hub.sent < 200_000:
                time.sleep(0.01)
            with open(disk + "/filler", "wb") as file:
                try:
                    file.write(b"x" * 4_000_000)
                except OSError:
                    pass
            out, _ = process.communicate(timeout=60)
            assert '"ok":true' in out or "No space left" in out, out
            os.remove(disk + "/filler")
            hub.faults.clear()
            path = lmfast.pull(hub, "org/model", include="model.safetensors", env=env).path()
            assert read(path + "/model.safetensors") == WEIGHTS
    finally:
        subprocess.run(["umount", disk], check=False)


def test_two_at_once(lmfast):
    """two processes that want the same file download it once"""
    with Hub({"org/model": model_repo()}) as hub:
        hub.faults["slow"] = 1_500_000
        both = [lmfast.start('return lm.pull "org/model"', hub) for _ in range(2)]
        outputs = [process.communicate(timeout=60)[0] for process in both]
        assert all('"ok":true' in out for out in outputs), outputs
        assert hub.sent < 1.5 * len(WEIGHTS)
    assert read(lmfast.snapshot() + "/model.safetensors") == WEIGHTS


def test_certificate(lmfast):
    """an unknown certificate is refused; SSL_CERT_FILE makes it known"""
    key, certificate = lmfast.home + "/key.pem", lmfast.home + "/cert.pem"
    made = subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days", "1", "-subj",
                           "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"], capture_output=True, check=False) if have("openssl") else None
    if made is None or made.returncode != 0:
        raise Skip("the openssl program is needed to make a certificate")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    with Hub({"org/model": model_repo()}, tls=tls) as hub:
        lmfast.pull(hub, "org/model", include="config.json").fails("denied", "certificate", "SSL_CERT_FILE")
        assert not hub.log
        lmfast.pull(hub, "org/model", include="config.json", env={"SSL_CERT_FILE": certificate}).path()
        # The storage of the test is plain: from https nothing goes on without encryption.
        lmfast.pull(hub, "org/model", include="model.safetensors", env={"SSL_CERT_FILE": certificate}).fails("denied", "without encryption")


def have(program):
    return any(os.access(os.path.join(folder, program), os.X_OK) for folder in os.environ["PATH"].split(":"))


def test_proxy(lmfast):
    """http_proxy is used, no_proxy exempts"""
    with Hub({"org/model": model_repo()}) as hub, Hub() as proxy:
        env = {"http_proxy": proxy.endpoint}
        lmfast.pull(hub, "org/model", retries=0, env=env).fails("not_found")
        assert len(proxy.log) == 1 and proxy.log[0][1].startswith(hub.endpoint), proxy.log
        lmfast.pull(hub, "org/model", include="config.json", env={**env, "no_proxy": "127.0.0.1"}).path()
        assert len(proxy.log) == 1


def test_threads_end(lmfast):
    """an error in one file stops the others"""
    files = {f"{i}.bin": bytes([i]) * 400_000 for i in range(8)}
    with Hub({"org/model": Repo(files, list(files))}) as hub:
        hub.faults["slow"] = 300_000
        timer = threading.Timer(0.5, lambda: hub.faults.update(etag="0" * 64))
        timer.start()
        begin = time.monotonic()
        lmfast.pull(hub, "org/model", include="*", connections=2).fails("bad_file", "ETag")
        assert time.monotonic() - begin < 10
