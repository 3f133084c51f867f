"""Tests of the prompt on a pseudo-terminal, one function each. The docstring is the test's name."""

import os
import signal
import subprocess
import tempfile
import time

from shell import PROMPT, STANDIN, Shell


class Skip(Exception):
    pass


def run_process(binary, arguments, stdin=b"", env=None, **options):
    variables = dict(os.environ, LMFAST_LUA_PATH=STANDIN, LMFAST_HISTORY="")
    variables.update(env or {})
    return subprocess.run([binary, *arguments], input=stdin, capture_output=True, timeout=60, env=variables, **options)


def editing(binary):
    """Emacs keys move, kill, yank, transpose and undo"""
    with Shell(binary) as sh:
        sh.at_prompt()
        sh.send("print(1)\x01x=1 \x05\x17\x19\x01\x06\x06\x0b")  # home, type, end, kill word, yank, home, 2 right, kill
        sh.wait_for(lambda s: s.last() == PROMPT + " x=")
        sh.send("\x19\x1f")  # yank, undo
        sh.wait_for(lambda s: s.last() == PROMPT + " x=")
        sh.send("\x15ab\x14\x1bb\x1bd")  # kill line, type, transpose, word back, kill word
        sh.at_prompt()


def wide_characters(binary):
    """Wide, combining and joined characters are one step of the cursor and keep the column right"""
    with Shell(binary) as sh:
        sh.at_prompt()
        sh.send('"日本e\u0301👍🏽"')
        sh.wait_for(lambda s: s.last().endswith('👍🏽"'))
        sh.send("\x1b[D\x1b[D\x1b[D\x1b[D!")  # before the Japanese letter 本's right neighbour
        sh.wait_for(lambda s: "日!本" in s.last())
        sh.send("\x7f\r")
        sh.wait_line("日本e\u0301👍🏽")


def long_lines(binary):
    """Text longer than a row and than the screen can be edited at both ends"""
    with Shell(binary, columns=20, rows=6) as sh:
        sh.at_prompt()
        text = '#"' + "0123456789" * 20 + '"'
        sh.send(text)
        sh.wait_for(lambda s: s.last().endswith('"'))
        sh.send("\x01 \x05")
        sh.read(0.2)
        sh.send("\x01\x04\x05\r")
        sh.wait_line("200")


def exact_width(binary):
    """A line that ends exactly at the margin leaves no stray rows"""
    with Shell(binary, columns=20, rows=10) as sh:
        sh.at_prompt()
        for n in (11, 12, 13):
            sh.send("1" * n)
            sh.read(0.1)
            sh.send("\x15")
            sh.at_prompt()
            assert [line for line in sh.screen.lines() if line] == ["ready", PROMPT], sh.screen.lines()


def resize(binary):
    """After a resize the typed line is whole and nothing is left of the old frame"""
    with Shell(binary, columns=60, rows=12) as sh:
        sh.at_prompt()
        sh.send("x = 'some words that are long enough to be wrapped'")
        sh.read(0.2)
        for columns in (30, 17, 45, 80):
            sh.resize(columns, 12)
            joined = "".join(row.text() if not row.soft else row.text().ljust(columns) for row in sh.screen.rows)
            assert joined == "ready" + PROMPT + " x = 'some words that are long enough to be wrapped'", (columns, sh.screen.lines())
        sh.send(" .. '!'\r")
        assert sh.run("x")[-1].endswith("wrapped!")


def paste(binary):
    """A pasted block is one unit with its tabs; a pasted session loses prompts and outputs"""
    with Shell(binary) as sh:
        sh.at_prompt()
        sh.paste("for i = 1, 2 do\n\tprint('row ' .. i)\nend\n")
        sh.wait_for(lambda s: s.last() == "   ..> end")
        sh.send("\r")
        sh.wait_line("row 2")
        sh.at_prompt()
        sh.paste("lmfast> a = 1\nlmfast> function f()\n   ..>   return a + 41\n   ..> end\nlmfast> f()\n42\nlmfast> 'last'\n")
        sh.wait_line("42")
        sh.wait_line("last")
        sh.at_prompt()


def menu(binary):
    """Tab inserts the common prefix, a second one lists candidates with docs, other keys close the list"""
    with Shell(binary, env={"NO_COLOR": "1"}) as sh:
        sh.at_prompt()
        sh.send("al\t")
        sh.wait_for(lambda s: s.last() == PROMPT + " alp")
        sh.send("\t")
        sh.wait_text("alphabet  doc of alphabet")
        sh.send("ha")
        sh.wait_for(lambda s: s.last() == PROMPT + " alpha")
        sh.send("\x15pri\t(")
        sh.wait_for(lambda s: s.last() == PROMPT + " print(value, ...")
        assert sh.screen.cursor()[1] == len(PROMPT + " print(")


def control_c_on_line(binary):
    """Ctrl-C clears the line; on an empty one it says how to leave; a continuation is dropped"""
    with Shell(binary) as sh:
        sh.at_prompt()
        sh.send("some text\x03")
        sh.wait_line(PROMPT + " some text^C")
        sh.at_prompt()
        sh.send("\x03")
        sh.wait_line("(Ctrl-D to leave)")
        sh.at_prompt()
        sh.send("if true then\r")
        sh.wait_line("   ..>")
        sh.send("\x03")
        sh.at_prompt()
        assert sh.run("'alive'") == ["alive"]


RUNAWAYS = [
    ("empty loop", "while true do end"),
    ("counting loop", "local s = 0 for i = 1, 1e18 do s = s + i end"),
    ("C call in a loop", "while true do math.floor(1.5) end"),
    ("host call in a loop", "local h = require('lm.host') while true do h.now() end"),
    ("string building", "local t while true do t = ('x'):rep(10) .. 'y' end"),
    ("pcall in a loop", "while true do pcall(function() while true do end end) end"),
    ("function defined before", "spin()"),
    ("coroutine", "coroutine.wrap(function() while true do end end)()"),
    ("table.concat", "local t = {} for i = 1, 1e6 do t[i] = 'x' end while true do table.concat(t) end"),
    ("ffi call", "local ffi = require('ffi') ffi.cdef('int abs(int)') while true do ffi.C.abs(-1) end"),
    ("waiting for a job", "local h = require('lm.host') while true do h.job_wait(job, 0.1) h.pump() end"),
]


def interrupt_matrix(binary):
    """Ctrl-C stops every runaway program within a second and the session goes on"""
    times = []
    with Shell(binary) as sh:
        sh.run("function spin() while true do end end")
        sh.run("job = require('lm.host').job_spawn{name = 'sleeper', source = 'local h = require[[lm.host]] while true do h.pump() end'}")
        for name, code in RUNAWAYS:
            sh.at_prompt()
            before = sum("interrupted" in line for line in sh.screen.lines())
            sh.send(code + "\r")
            sh.read(0.5)
            sh.send("\x03")
            took = sh.wait_for(lambda s: sum("interrupted" in line for line in s.lines()) > before, 10, name)
            times.append((name, took))
            assert sh.run("'alive'")[-1] == "alive"
    print("    " + ", ".join(f"{name} {took * 1000:.0f} ms" for name, took in times))
    slow = [name for name, took in times if took > 1]
    assert not slow, f"slower than 1 s: {slow}"


def force_quit(binary):
    """The third Ctrl-C ends a program that cannot be stopped, with the terminal restored"""
    with Shell(binary) as sh:
        sh.at_prompt()
        sh.send("string.find(('a'):rep(40), ('a?'):rep(40) .. ('a'):rep(40))\r")
        sh.read(0.3)
        for _ in range(3):
            sh.send("\x03")
            sh.read(0.2)
        assert sh.wait_exit(5) == 130
        assert sh.raw.rfind(b"\x1b[?2004l") > sh.raw.rfind(b"\x1b[?2004h")


def leave(binary):
    """Ctrl-D on an empty line leaves; with a running job it asks first; exit! does not"""
    with Shell(binary) as sh:
        sh.at_prompt()
        sh.send("ab\x01\x04")  # Ctrl-D deletes on a line with text
        sh.wait_for(lambda s: s.last() == PROMPT + " b")
        sh.send("\x05\x15\x04")
        assert sh.wait_exit() == 0
    spin = "require('lm.host').job_spawn{name = 'spinner', source = 'while true do end'}"
    with Shell(binary) as sh:
        sh.run(spin)
        sh.send("\x04")
        sh.wait_line("still running: spinner")
        sh.send("n\r")
        sh.at_prompt()
        sh.send("\x04")
        sh.wait_for(lambda s: s.last().startswith("Leave anyway?") and s.lines()[s.y].startswith("Leave"))
        sh.send("y\r")
        assert sh.wait_exit(5) == 0
    with Shell(binary) as sh:
        sh.run(spin)
        sh.send("exit!\r")
        assert sh.wait_exit(5) == 0


def history_search(binary):
    """Up searches by prefix, Ctrl-R inside entries; a multi-line input is one entry"""
    with Shell(binary) as sh:
        for line in ("aa = 1", "bb = 2", "ab = 3"):
            sh.run(line)
        sh.send("do\rcc = 4\rend\r")
        sh.at_prompt()
        sh.send("a\x1b[A\x1b[A")
        sh.wait_for(lambda s: s.last() == PROMPT + " aa = 1")
        sh.send("\x1b[B")
        sh.wait_for(lambda s: s.last() == PROMPT + " ab = 3")
        sh.send("\x15\x12bb")
        sh.wait_line("history search: bb")
        sh.wait_line(PROMPT + " bb = 2")
        sh.send("\x07\x1b[A")
        sh.wait_for(lambda s: s.last() == "   ..> end")
        sh.send("\x03")
        sh.at_prompt()


def shared_history(binary):
    """Two shells write one history file and lose nothing; secrets stay out of it"""
    with tempfile.TemporaryDirectory() as state:
        with Shell(binary, state=state) as one, Shell(binary, state=state) as two:
            for i in range(20):
                one.run(f"one = {i}")
                two.run(f"two = {i}")
            one.run("api_key = 'x'")
            one.run(" private = 1")
        path = os.path.join(state, "lmfast", "history")
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
        assert sorted(lines) == sorted([f"{n} = {i}" for i in range(20) for n in ("one", "two")]), lines
        assert os.stat(path).st_mode & 0o777 == 0o600
        with Shell(binary, state=state) as third:
            third.at_prompt()
            third.send("\x1b[A")
            third.wait_for(lambda s: s.last() == PROMPT + " two = 19")


def output_above(binary):
    """200 rows from another thread above a half-typed line leave the line and the cursor as they were"""
    with Shell(binary, rows=30) as sh:
        sh.run("job = require('lm.host').job_spawn{name = 'talker', source = [[local h = require('lm.host') "
               "local t = h.now() while h.now() < t + 0.5 do end for i = 1, 200 do print('row ' .. i) end io.write('tail ') io.write('end\\n')]]}")
        sh.send("half = 'typed'\x1b[D\x1b[D")
        sh.wait_line("tail end")
        sh.wait_text("talker done")
        sh.read(0.3)
        rows = [line for line in sh.screen.lines() if line.startswith("row ")]
        assert rows == [f"row {i}" for i in range(1, 201)], rows
        y, x = sh.screen.cursor()
        assert sh.screen.visible()[y] == PROMPT + " half = 'typed'" and x == len(PROMPT + " half = 'type"), sh.screen.visible()
        assert sh.screen.visible()[y + 1 :] == [] and not sh.screen.unknown
        sh.send("\x05\r")
        assert sh.run("half") == ["typed"]


def status_row(binary):
    """A running job has a row above the prompt that goes when it ends"""
    with Shell(binary) as sh:
        sh.run("job = require('lm.host').job_spawn{name = 'worker', source = [[local h = require('lm.host') h.job_progress(0.5, 'half way') "
               "local t = h.now() while h.now() < t + 2 do h.pump() end]]}")
        sh.send("abc")
        sh.wait_text("[1] worker 50%  half way")
        sh.wait_for(lambda s: s.lines()[s.y] == PROMPT + " abc")
        sh.wait_text("[1] worker done")
        sh.read(0.3)
        assert not any("50%" in line for line in sh.screen.lines()), sh.screen.lines()
        assert sh.screen.lines()[sh.screen.y] == PROMPT + " abc"


def no_final_newline(binary):
    """Output without a final line break is kept"""
    with Shell(binary) as sh:
        sh.at_prompt()
        sh.send("do io.write('partial') end\r")
        sh.wait_line("partial")
        sh.at_prompt()


def suspend(binary):
    """SIGTSTP gives the terminal back; SIGCONT brings the line back"""
    with Shell(binary) as sh:
        sh.at_prompt()
        sh.send("half")
        sh.wait_for(lambda s: s.last() == PROMPT + " half")
        os.kill(sh.pid, signal.SIGTSTP)
        sh.read(0.3)
        assert b"\x1b[?2004l" in sh.raw
        os.kill(sh.pid, signal.SIGCONT)
        sh.send(" = 7\r")
        sh.at_prompt()
        assert sh.run("half") == ["7"]


def terminate(binary):
    """SIGTERM ends the shell gracefully, also while a program runs"""
    for code in ("", "while true do end\r"):
        with Shell(binary) as sh:
            sh.at_prompt()
            sh.send(code)
            sh.read(0.3)
            os.kill(sh.pid, signal.SIGTERM)
            assert sh.wait_exit(5) == 143
            assert sh.raw.rfind(b"\x1b[?2004l") > sh.raw.rfind(b"\x1b[?2004h")


def edit_in_editor(binary):
    """Ctrl-X Ctrl-E opens the line in $EDITOR"""
    with tempfile.TemporaryDirectory() as folder:
        editor = os.path.join(folder, "editor.sh")
        with open(editor, "w", encoding="utf-8") as file:
            file.write('#!/bin/sh\nprintf "%s" "1 + 41" > "$1"\n')
        os.chmod(editor, 0o755)
        with Shell(binary, env={"EDITOR": editor}) as sh:
            sh.at_prompt()
            sh.send("x\x18\x05")
            sh.wait_for(lambda s: s.last() == PROMPT + " 1 + 41")
            sh.send("\r")
            sh.wait_line("42")


def dumb_terminal(binary):
    """TERM=dumb: lines without escape sequences"""
    with Shell(binary, env={"TERM": "dumb"}) as sh:
        sh.wait_text(PROMPT)
        sh.send("1 + 1\r")
        sh.wait_line("2")
        sh.send("for i = 1, 1 do\r")
        sh.wait_text("..>")
        sh.send("print('x' .. i) end\r")
        sh.wait_line("x1")
        sh.send("\x04")
        assert sh.wait_exit() == 0
        assert b"\x1b" not in sh.raw


def piped_input(binary):
    """Standard input that is no terminal is a script; -, -e, scripts and their arguments work"""
    r = run_process(binary, [], b"print('piped')\n")
    assert (r.returncode, r.stdout, r.stderr) == (0, b"piped\n", b""), r
    r = run_process(binary, ["-", "a", "b"], b"print(...)")
    assert r.stdout == b"a\tb\n", r
    r = run_process(binary, ["-e", "x = 1", "-e", "print(x)"])
    assert r.stdout == b"1\n", r
    r = run_process(binary, ["-e", "error('no')"])
    assert r.returncode == 1 and b"no" in r.stderr, r
    r = run_process(binary, ["-e", "os.exit(7)"])
    assert r.returncode == 7, r
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "s.lua")
        with open(path, "w", encoding="utf-8") as file:
            file.write("print(arg[0] ~= nil, arg[1], select('#', ...))")
        r = run_process(binary, [path, "one", "--two"])
        assert r.stdout == b"true\tone\t2\n", r


def usage(binary):
    """Unknown flags and commands get a suggestion and exit code 2"""
    r = run_process(binary, ["--quite"])
    assert r.returncode == 2 and b"--quiet" in r.stderr, r
    r = run_process(binary, ["docter"])
    assert r.returncode == 2 and b'"doctor"' in r.stderr, r
    r = run_process(binary, ["-e"])
    assert r.returncode == 2 and b"CODE" in r.stderr, r
    r = run_process(binary, ["--help"])
    assert r.returncode == 0 and b"LMFAST_HISTORY" in r.stdout and b"--no-init" in r.stdout, r
    r = run_process(binary, ["--version"])
    assert r.returncode == 0 and r.stdout.startswith(b"lmfast "), r


def broken_output(binary):
    """A closed pipe and a full disk are errors with a message, not crashes"""
    for arguments in (["-e", "print('x')"], ["--version"], ["--help"]):
        with open("/dev/full", "wb") as full:
            r = subprocess.run([binary, *arguments], stdout=full, stderr=subprocess.PIPE, timeout=60,
                               env=dict(os.environ, LMFAST_LUA_PATH=STANDIN))
        assert r.returncode == 1 and b"No space left" in r.stderr, r
    process = subprocess.Popen([binary, "-e", "while true do print('x') end"], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, env=dict(os.environ, LMFAST_LUA_PATH=STANDIN))
    process.stdout.readline()
    process.stdout.close()
    error = process.stderr.read()
    assert process.wait(20) == 1 and b"Broken pipe" in error, error
    process.stderr.close()


def interrupt_script(binary):
    """Ctrl-C ends a script with exit code 130; a second one also when a compiled loop never looks"""
    process = subprocess.Popen([binary, "-e", "print('go') io.flush() local h = require('lm.host') while true do h.pump() end"],
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=dict(os.environ, LMFAST_LUA_PATH=STANDIN))
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 130
    process.stdout.close()
    process = subprocess.Popen([binary, "-e", "print('go') io.flush() while true do end"], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, env=dict(os.environ, LMFAST_LUA_PATH=STANDIN))
    process.stdout.readline()
    time.sleep(0.3)  # until the loop is compiled and blind to hooks
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    assert process.wait(10) == 130
    process.stdout.close()


def job_results(binary):
    """Jobs take and return copies, report errors, progress and stops"""
    code = """
local h = require("lm.host")
local function run(source, ...)
  local id = h.job_spawn{name = "t", source = source, args = {n = select("#", ...), ...}}
  while true do
    local state = h.job_wait(id, 5)
    if state ~= "running" and state ~= "queued" then return id, state end
  end
end
local id, state = run("local a, t = ... return a + 1, {x = t[1], y = {true}}, nil", 1, {"s"})
local n, t = h.job_result(id)
assert(state == "done" and n == 2 and t.x == "s" and t.y[1] == true)
id, state = run("error({code = 'io', message = 'broken'})")
local _, e = h.job_result(id)
assert(state == "failed" and e.code == "io" and h.job_info(id).error == "broken")
id, state = run("return print")
assert(state == "failed" and h.job_info(id).error:find("function cannot go"), h.job_info(id).error)
local loop = {} loop.loop = loop
local ok, err = pcall(h.job_spawn, {name = "t", source = "return 1", args = {loop}})
assert(not ok and err.code == "bad_option" and err.message:find("argument 1.loop"), tostring(err))
id = h.job_spawn{name = "t", source = "while true do pcall(function() while true do end end) end"}
h.job_stop(id)
assert(h.job_wait(id, 5) == "interrupted")
print("ok")
"""
    r = run_process(binary, ["-e", code])
    assert r.stdout == b"ok\n" and r.returncode == 0, r


def errors_from_cpp(binary):
    """Errors of C++ functions arrive as tables with code and message, also through pcall in hot loops"""
    code = """
local h = require("lm.host")
for i = 1, 2000 do
  local ok, e = pcall(h.job_wait, 12345, 0)
  assert(not ok and e.code == "not_found" and e.message:find("12345"))
end
assert(tostring(select(2, pcall(h.log_level, "loud"))):find("debug, info"))
print("ok")
"""
    r = run_process(binary, ["-e", code])
    assert r.stdout == b"ok\n", r


def broken_library(binary):
    """A standard library that does not load is reported; the shell still runs plain Lua"""
    with tempfile.TemporaryDirectory() as folder:
        os.makedirs(os.path.join(folder, "stdlib", "lm"))
        with open(os.path.join(folder, "stdlib", "lm", "session.lua"), "w", encoding="utf-8") as file:
            file.write("this is no Lua")
        r = run_process(binary, ["-e", "print(6 * 7)"], env={"LMFAST_LUA_PATH": folder})
        assert r.stdout == b"42\n" and b"session.lua" in r.stderr, r


def start_up_file(binary):
    """The start-up file runs before the prompt, and not with --no-init"""
    with tempfile.TemporaryDirectory() as state:
        os.makedirs(os.path.join(state, "lmfast"))
        with open(os.path.join(state, "lmfast", "init.lua"), "w", encoding="utf-8") as file:
            file.write("from_init = 'seen'")
        with Shell(binary, state=state) as sh:
            assert sh.run("tostring(from_init)") == ["seen"]
        with Shell(binary, ["--no-init"], state=state) as sh:
            assert sh.run("tostring(from_init)") == ["nil"]


def big_paste(binary):
    """A megabyte pasted at once arrives whole and quickly"""
    with Shell(binary) as sh:
        sh.at_prompt()
        start = time.monotonic()
        sh.paste("x = [[" + "0123456789abcde\n" * 65536 + "]] #x")
        sh.wait_text("]] #x", 60)
        sh.send("\x15\x03")
        assert time.monotonic() - start < 60


ALL = [editing, wide_characters, long_lines, exact_width, resize, paste, menu, control_c_on_line, interrupt_matrix,
       force_quit, leave, history_search, shared_history, output_above, status_row, no_final_newline, suspend, terminate,
       edit_in_editor, dumb_terminal, piped_input, usage, broken_output, interrupt_script, job_results, errors_from_cpp,
       broken_library, start_up_file, big_paste]
