"""Tests of the prompt and the command line with the real library and the first model, one function each."""

import os
import signal
import subprocess
import tempfile
import time

from cases import Skip
from shell import PROMPT, Shell

found = {}


def environment(**more):
    variables = dict(os.environ, LMFAST_HISTORY="", **more)
    variables.pop("LMFAST_LUA_PATH", None)
    return variables


def lmfast(binary, arguments, stdin=b"", **options):
    return subprocess.run([binary, *arguments], input=stdin, capture_output=True, timeout=60, env=environment(), **options)


def need_model(binary):
    """Returns the path of the first model; skips when it is not there."""
    if binary not in found:
        code = "local row = lm.models()[1] io.write(row.on_machine and row.path or '')"
        found[binary] = lmfast(binary, ["-e", code]).stdout.decode()
    if not found[binary]:
        raise Skip("the first model is not on this machine; scripts/lmfast.sh fetches it")
    return found[binary]


def real_shell(binary, **options):
    return Shell(binary, standin=False, **options)


def banner(binary):
    """The banner names version, machine and model, and where help is"""
    need_model(binary)
    with real_shell(binary, columns=120) as sh:
        sh.at_prompt()
        row = sh.screen.lines()[0]
        for part in ("lmfast ", "CPU ", "smollm2-135m-instruct", "? for help"):
            assert part in row, row


def completion(binary):
    """Tab completes names, methods, options, enum values and names of models"""
    need_model(binary)
    with real_shell(binary, columns=100, rows=40, env={"NO_COLOR": "1"}) as sh:
        sh.at_prompt()
        sh.send("lm.ge\t")
        sh.wait_for(lambda s: PROMPT + " lm.generate" in s.last())
        sh.send("\x15lm.chat{ te\t")
        sh.wait_for(lambda s: s.last().startswith(PROMPT + " lm.chat{ temperature="))
        sh.send('\x15lm.load "smollm2-13\t')
        sh.wait_for(lambda s: s.last().startswith(PROMPT + ' lm.load "smollm2-135m-instruct'))
        sh.send('\x15lm.load{ precision = "e\t')
        sh.wait_for(lambda s: s.last().startswith(PROMPT + ' lm.load{ precision = "exact'))
        sh.send("\x15:re\t\t")
        sh.wait_text("reset")
        sh.send('\x15m = lm.load "smollm2"\r')
        sh.at_prompt()
        sh.send("m:gen\t")
        sh.wait_for(lambda s: s.last().startswith(PROMPT + " m:generate"))
        sh.send("{ te\t")
        sh.wait_for(lambda s: s.last().startswith(PROMPT + " m:generate{ temperature="))
        sh.send("\x15m:\t\t")
        sh.wait_text("Splits a text into token ids.")


def hints(binary):
    """The signature of the call being typed stands behind the cursor"""
    with real_shell(binary, columns=120, env={"NO_COLOR": "1"}) as sh:
        sh.at_prompt()
        sh.send("lm.start(")
        sh.wait_for(lambda s: s.last().startswith(PROMPT + " lm.start(work"))
        assert sh.screen.cursor()[1] == len(PROMPT + " lm.start(")
        sh.send("\x15lm.load{ ")
        sh.wait_for(lambda s: "precision=" in s.last())


def commands(binary):
    """:help lists the commands, :time measures, $ runs a program"""
    with real_shell(binary, columns=100, rows=40) as sh:
        rows = sh.run(":help")
        assert any(row.startswith(":jobs ") for row in rows) and len(rows) >= 14, rows
        assert sh.run(":time 1 + 1")[0] == "2"
        assert sh.run("$ echo from the shell") == ["from the shell"]
        assert sh.run("lm.time(function() return 5 end)")[-1] == "5"


def streaming(binary):
    """An answer appears while it is made, its numbers at the end"""
    need_model(binary)
    with real_shell(binary, columns=100, rows=50) as sh:
        sh.run('m = lm.load "smollm2"')
        sh.at_prompt()
        sh.send('lm.chat{ "Count from one to twenty in words.", max_tokens = 150, ignore_eos = true }\r')
        sh.wait_for(lambda s: any(line and not line.startswith(PROMPT) for line in s.lines()[s.top + 2:]), what="first piece")
        sizes = set()
        end = time.monotonic() + 30
        while "[150 tok" not in "".join(sh.screen.lines()) and time.monotonic() < end:
            sizes.add(len("".join(sh.screen.lines())))
            sh.read_some(0.02)
        assert len(sizes) > 5, f"the answer came in {len(sizes)} pieces"
        sh.at_prompt()
        assert sh.run("type(_)") == ["string"]
        # A record of generate is shown once, while it is made, and is its text for print.
        rows = sh.run('m:generate{ "The capital of France is", max_tokens = 2 }')
        assert len(rows) == 1 and rows[0].startswith(" Paris.") and "[2 tok" in rows[0], rows
        assert sh.run("#_.ids") == ["2"]
        assert sh.run('print(m:generate{ "The capital of France is", max_tokens = 2 })') == [" Paris."]


def interrupt_answer(binary):
    """Ctrl-C stops an answer; the part that came stays in the conversation, the session goes on"""
    need_model(binary)
    with real_shell(binary, columns=100, rows=50) as sh:
        sh.run('m = lm.load "smollm2"')
        sh.run("c = m:chat()")
        sh.at_prompt()
        sh.send('c:say{ "Write a long story about a cat.", max_tokens = 4000, ignore_eos = true }\r')
        sh.wait_text("cat")
        sh.wait_for(lambda s: len("".join(s.lines())) > 400, what="some text")
        sh.send("\x03")
        seconds = sh.wait_text("interrupted", 10)
        assert seconds < 5, seconds
        sh.at_prompt()
        assert sh.run("#c.messages") == ["2"]
        assert sh.run("#c.messages[2].content > 50") == ["true"]
        assert sh.run('#c:say("Who is it about?", { max_tokens = 5 }) > 0')[-1].startswith("true")
        assert sh.run("#c.messages") == ["4"]


def jobs(binary):
    """A background job has a status row, reports its end and gives its result"""
    need_model(binary)
    with real_shell(binary, columns=100, rows=40) as sh:
        sh.run('m = lm.load "smollm2"')
        sh.run('job = m:generate{ prompt = "Once", max_tokens = 200, ignore_eos = true, background = true }')
        sh.wait_text("[1] Model:generate")
        sh.wait_for(lambda s: any("Model:generate done after" in line for line in s.lines()), 30, "the line at the end")
        assert sh.run("#job:result().text > 100") == ["true"]
        rows = sh.run(":jobs")
        assert rows[0].split()[:3] == ["id", "name", "state"] and "done" in rows[1], rows
        sh.run("s = lm.start(function() require('lm.host').job_progress(0.25, 'one of four') while true do end end)")
        sh.wait_text("25%  one of four")
        sh.run("s:stop()")
        assert sh.run("s:wait(5)")[-1] == "interrupted"


def leave_with_jobs(binary):
    """Leaving while a job runs asks first"""
    with real_shell(binary) as sh:
        sh.run("j = lm.start('while true do end')")
        sh.at_prompt()
        sh.send("\x04")
        sh.wait_text("still running: job 1")
        sh.send("y\r")
        assert sh.wait_exit() == 0


def history_across_sessions(binary):
    """Inputs of one session are there in the next; secrets are not"""
    with tempfile.TemporaryDirectory() as state:
        with real_shell(binary, state=state) as sh:
            sh.run("first = 'of history'")
            sh.run("api_key = 'x'")
            sh.send("exit\r")
            assert sh.wait_exit() == 0
        with real_shell(binary, state=state) as sh:
            sh.at_prompt()
            sh.send("\x1b[A")
            sh.wait_for(lambda s: "first = 'of history'" in s.last())


def code_and_scripts(binary):
    """-e, -, a script with a shebang line, arguments, exit codes"""
    r = lmfast(binary, ["-e", "print(lm.version)"])
    assert r.returncode == 0 and r.stdout.count(b".") == 2 and not r.stderr, r
    r = lmfast(binary, ["-", "a b"], b"local lm = require 'lmfast' print(type(lm.load), ...)")
    assert r.stdout == b"function\ta b\n", r
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "script")
        os.symlink(binary, os.path.join(folder, "lmfast"))
        with open(path, "w", encoding="utf-8") as file:
            file.write("#!/usr/bin/env lmfast\nprint(arg[1])\nlocal x = nil + 1\n")
        os.chmod(path, 0o755)
        r = subprocess.run([path, "word"], capture_output=True, timeout=60, check=False,
                           env=environment(PATH=folder + ":" + os.environ["PATH"]))
        assert r.returncode == 1 and r.stdout == b"word\n", r
        assert b"script:3" in r.stderr and b"> 3 | local x = nil + 1" in r.stderr and b"traceback" in r.stderr, r.stderr
        with open(path, "w", encoding="utf-8") as file:
            file.write("print('never')\nfor i = 1, 2\n  print(i)\nend\n")
        r = lmfast(binary, [path])
        assert r.returncode == 1 and r.stdout == b"" and b"script:3" in r.stderr and b"for and while need do" in r.stderr, r
    r = lmfast(binary, ["-e", "lm.load{ precison = 'exact' }"])
    assert r.returncode == 1 and b'did you mean "precision"?' in r.stderr, r
    r = lmfast(binary, ["no_such_file.lua"])
    assert r.returncode == 2, r


def recipes(binary):
    """Recipes list, explain and check themselves; bad usage gives 2"""
    r = lmfast(binary, ["run"])
    assert r.returncode == 0 and b"generate" in r.stdout, r
    r = lmfast(binary, ["run", "generate", "--help"])
    assert r.returncode == 0 and b"--max_tokens INTEGER (default: 256)" in r.stdout and b"Example:" in r.stdout, r
    r = lmfast(binary, ["run", "generate", "--pormpts", "x"])
    assert r.returncode == 2 and b"did you mean --prompts?" in r.stderr, r
    r = lmfast(binary, ["run", "genrate"])
    assert r.returncode == 2 and b'did you mean "generate"?' in r.stderr, r


def recipe_generate(binary):
    """`run generate` answers a file of prompts and skips what is answered"""
    need_model(binary)
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "q.txt"), "w", encoding="utf-8") as file:
            file.write("What is the capital of France?\n")
        arguments = ["run", "generate", "--prompts", "q.txt", "--out", "a.jsonl", "--json"]
        r = lmfast(binary, arguments, cwd=folder)
        assert r.returncode == 0 and b'"written": 1' in r.stdout, r
        with open(os.path.join(folder, "a.jsonl"), encoding="utf-8") as file:
            assert "The capital of France is Paris." in file.read()
        r = lmfast(binary, arguments, cwd=folder)
        assert r.returncode == 0 and b'"skipped": 1' in r.stdout and b'"written": 0' in r.stdout, r


def interrupt_generation(binary):
    """Ctrl-C ends a script that generates, with exit code 130 and what was written"""
    need_model(binary)
    code = ("local m = lm.load 'smollm2' m:stream{ prompt = 'Once', max_tokens = 8000, ignore_eos = true, "
            "on_token = function(s) io.write(s) io.flush() end }")
    with subprocess.Popen([binary, "-e", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()) as process:
        assert process.stdout.read(20)
        process.send_signal(signal.SIGINT)
        start = time.monotonic()
        assert process.wait(20) == 130
        assert time.monotonic() - start < 10
        process.stdout.read()


def broken_outputs(binary):
    """A full disk and a closed pipe end a generation with an error"""
    need_model(binary)
    with open("/dev/full", "wb") as full:
        r = subprocess.run([binary, "-e", "print(lm.chat{ 'Hi', max_tokens = 3 })"], stdout=full, stderr=subprocess.PIPE,
                           timeout=60, env=environment(), check=False)
    assert r.returncode == 1 and b"No space left" in r.stderr, r
    code = "lm.load('smollm2'):stream{ prompt = 'A', max_tokens = 8000, ignore_eos = true, on_token = function(s) print(s) end }"
    with subprocess.Popen([binary, "-e", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()) as process:
        process.stdout.readline()
        process.stdout.close()
        error = process.stderr.read()
        assert process.wait(60) == 1 and b"Broken pipe" in error, error


def bad_models(binary):
    """Unknown names, truncated files, folders without a model: an error that says what is wrong, and the session goes on"""
    path = need_model(binary)
    with tempfile.TemporaryDirectory() as folder:
        with open(path, "rb") as file:
            head = file.read(8_000_000)
        for name, size in (("metadata.gguf", 1_000_000), ("weights.gguf", 8_000_000), ("magic.gguf", 3), ("empty.gguf", 0)):
            with open(os.path.join(folder, name), "wb") as file:
                file.write(head[:size])
        os.makedirs(os.path.join(folder, "nothing"))
        with real_shell(binary, columns=200, rows=60) as sh:
            for name, expected in (("metadata.gguf", "the file has room for"), ("weights.gguf", "the file is truncated or wrong"),
                                   ("magic.gguf", "error:"), ("empty.gguf", "error:"), ("nothing", "holds no model"),
                                   ("missing.gguf", "no model")):
                rows = sh.run(f'lm.load "{folder}/{name}"')
                assert rows[0].startswith("error: ") and expected in rows[0], rows
            assert sh.run("lm.chat 'What is the capital of France?'")[0].startswith("The capital of France is Paris.")


ALL = [banner, completion, hints, commands, streaming, interrupt_answer, jobs, leave_with_jobs, history_across_sessions,
       code_and_scripts, recipes, recipe_generate, interrupt_generation, broken_outputs, bad_models]
