#!/usr/bin/env python3
"""Runs what the documentation says: examples, code blocks, transcripts, links.

Usage: tests/docs/run.py PATH-TO-LMFAST [NAME ...]     (NAME: only tests whose name contains it)

  examples     the commands in `--- Run:` lines of examples/*.lua; their outputs stand in expected/NN.txt
  lua blocks   ```lua blocks of README.md, docs/guide and docs/reference run as typed input, page by page, with `m` a loaded
               model; ```lua norun blocks are compiled only
  transcripts  ```console blocks of README.md and docs: `lmfast> ` lines are typed on a pseudo-terminal, `$ ` lines are run by
               bash; ```console norun blocks are left alone
  links        every relative link of every .md file names a file that exists, and a heading that exists

Outputs are compared loosely (see loose.py). The last line is `N passed, N failed, N skipped`.
"""

import glob
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "repl"))

import loose  # noqa: E402
import markdown  # noqa: E402
import typed  # noqa: E402

PAGES = ["README.md", *sorted(glob.glob("docs/*.md", root_dir=ROOT)), *sorted(glob.glob("docs/guide/*.md", root_dir=ROOT)),
         *sorted(glob.glob("docs/formats/*.md", root_dir=ROOT)), *sorted(glob.glob("docs/reference/*.md", root_dir=ROOT))]


class Skip(Exception):
    pass


class Runner:
    def __init__(self, binary, folder):
        self.binary, self.folder = binary, folder
        os.makedirs(os.path.join(folder, "bin"))
        os.symlink(binary, os.path.join(folder, "bin", "lmfast"))
        for name in ("examples", "lua", "docs", "scripts"):
            os.symlink(os.path.join(ROOT, name), os.path.join(folder, name))
        self.env = dict(os.environ, PATH=os.path.join(folder, "bin") + ":" + os.environ["PATH"], LMFAST_HISTORY="",
                        XDG_CONFIG_HOME=os.path.join(folder, "config"), NO_COLOR="1", COLUMNS="100")
        code = "local m = require('lm.models').models()[1] print(m.on_machine and m.path or '')"
        found = self.run([binary, "-e", code]).stdout.decode().strip()
        self.no_model = None if found else "the first model is not on this machine; scripts/lmfast.sh fetches it"

    def run(self, command, **options):
        return subprocess.run(command, capture_output=True, timeout=120, env=self.env, cwd=self.folder, check=False, **options)

    def need_model(self):
        if self.no_model:
            raise Skip(self.no_model)

    # Examples ------------------------------------------------------------------------------------------------------

    def example(self, path):
        self.need_model()
        with open(os.path.join(ROOT, path), encoding="utf-8") as file:
            commands = re.findall(r"^--- Run: (.+)$", file.read(), re.M)
        assert commands, f"{path} has no line `--- Run: ...`"
        number = os.path.basename(path)[:2]
        with open(os.path.join(HERE, "expected", number + ".txt"), encoding="utf-8") as file:
            wanted = re.split(r"^\$ (.+)\n", file.read(), flags=re.M)[1:]
        assert wanted[::2] == commands, f"expected/{number}.txt is about {wanted[::2]}, the example runs {commands}"
        for command, output in zip(commands, wanted[1::2]):
            done = self.run(["bash", "-c", command])
            assert done.returncode == 0, f"{command}: exit code {done.returncode}\n{done.stderr.decode()}"
            actual = done.stdout.decode()
            assert loose.matches_template(output, actual), f"{command}:\n{loose.difference(output, actual)}"

    # Lua blocks ----------------------------------------------------------------------------------------------------

    def blocks(self, path, blocks):
        if self.no_model:
            blocks = [dict(block, norun=True) for block in blocks]
        with tempfile.NamedTemporaryFile("w", suffix=".json", dir=self.folder, delete=False) as file:
            json.dump(blocks, file)
        done = self.run([self.binary, os.path.join(HERE, "blocks.lua"), file.name])
        failed = re.findall(r"^FAILED (\d+)$", done.stdout.decode(), re.M)
        assert done.returncode == 0 and not failed, (
            f"{path}: the blocks at lines {', '.join(failed) or '?'} fail\n" + done.stderr.decode() + done.stdout.decode())
        if self.no_model:
            raise Skip("compiled only: " + self.no_model)

    # Transcripts -----------------------------------------------------------------------------------------------------

    def transcript(self, path, block):
        self.need_model()
        if "lmfast> " in block["code"]:
            typed.check(self.binary, block["code"], {**self.env, "XDG_CACHE_HOME": self.cache()}, self.folder)
            return
        for command, output in typed.commands(block["code"]):
            done = self.run(["bash", "-c", command])
            actual = (done.stdout + done.stderr).decode()
            assert loose.matches(output, actual), f"{path}:{block['line']}: $ {command}\n{loose.difference(output, actual)}"

    def cache(self):
        return os.environ.get("XDG_CACHE_HOME") or os.path.join(os.environ["HOME"], ".cache")


# Links ---------------------------------------------------------------------------------------------------------------


def check_links(path):
    broken = []
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        text = file.read()
    for target in markdown.links(text):
        name, _, anchor = target.partition("#")
        full = os.path.normpath(os.path.join(ROOT, os.path.dirname(path), name)) if name else os.path.join(ROOT, path)
        if not os.path.exists(full):
            broken.append(target)
        elif anchor and full.endswith(".md"):
            with open(full, encoding="utf-8") as file:
                if anchor not in markdown.anchors(file.read()):
                    broken.append(target)
    assert not broken, f"{path}: broken links: {', '.join(broken)}"


def all_pages():
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "*.md"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode == 0:
        return sorted(path for path in listed.stdout.decode().split("\n") if path and os.path.exists(os.path.join(ROOT, path)))
    return [os.path.relpath(path, ROOT) for path in glob.glob(os.path.join(ROOT, "**", "*.md"), recursive=True)
            if "/build/" not in path and "/.venv/" not in path]


def collect(runner):
    tests = []
    for path in sorted(glob.glob("examples/[0-9]*.lua", root_dir=ROOT)):
        tests.append((path, lambda path=path: runner.example(path)))
    for path in PAGES:
        with open(os.path.join(ROOT, path), encoding="utf-8") as file:
            fences = list(markdown.fences(file.read()))
        lua = [fence for fence in fences if fence["language"] == "lua"]
        if lua:
            tests.append((f"{path} ({len(lua)} lua blocks)", lambda path=path, lua=lua: runner.blocks(path, lua)))
        for fence in fences:
            if fence["language"] == "console" and not fence["norun"]:
                tests.append((f"{path}:{fence['line']} (transcript)",
                              lambda path=path, fence=fence: runner.transcript(path, fence)))
    for path in all_pages():
        tests.append((f"{path} (links)", lambda path=path: check_links(path)))
    return tests


def main():
    if len(sys.argv) < 2:
        print(__doc__)
        return 2
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    wanted = sys.argv[2:]
    with tempfile.TemporaryDirectory() as folder:
        for name, run in collect(Runner(os.path.abspath(sys.argv[1]), folder)):
            if wanted and not any(word in name for word in wanted):
                continue
            start = time.monotonic()
            try:
                run()
                outcome, detail = "passed", ""
            except Skip as reason:
                outcome, detail = "skipped", f": {reason}"
            except AssertionError as reason:
                outcome, detail = "failed", f"\n{reason}"
            except Exception:  # one test's failure, of whatever kind, must not hide the others
                outcome, detail = "failed", "\n" + traceback.format_exc()
            counts[outcome] += 1
            print(f"{outcome:8}{name} ({time.monotonic() - start:.1f} s){detail}", flush=True)
    print(", ".join(f"{n} {name}" for name, n in counts.items()))
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
