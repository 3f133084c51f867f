"""Runs lmfast on a pseudo-terminal and reads its screen."""

import fcntl
import os
import pty
import select
import signal
import struct
import tempfile
import termios
import time

from screen import Screen

HERE = os.path.dirname(os.path.abspath(__file__))
STANDIN = os.path.join(HERE, "standin")
PROMPT = "lmfast>"


class Shell:
    """One shell; a context manager. `send` types, `wait_for` waits until a condition of the screen holds."""

    def __init__(self, binary, arguments=(), columns=80, rows=24, env=None, standin=True, state=None):
        self.screen = Screen(columns, rows)
        self.raw = b""
        self.folder = None if state else tempfile.TemporaryDirectory()
        state = state or self.folder.name
        variables = dict(os.environ)
        for name in ("LMFAST_HISTORY", "LMFAST_LUA_PATH", "NO_COLOR", "VISUAL", "EDITOR"):
            variables.pop(name, None)
        variables.update(TERM="xterm-256color", XDG_STATE_HOME=state, XDG_CONFIG_HOME=state, LC_ALL="C.UTF-8")
        if standin:
            variables["LMFAST_LUA_PATH"] = STANDIN
        variables.update(env or {})
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                os.execve(binary, [binary, *arguments], variables)
            finally:
                os._exit(127)
        self.set_size(columns, rows)
        self.status = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)
        if self.folder:
            self.folder.cleanup()

    def set_size(self, columns, rows):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def resize(self, columns, rows):
        self.read(0.1)
        self.screen.resize(columns, rows)
        self.set_size(columns, rows)
        self.read(0.3)

    def read_some(self, seconds):
        """Reads what is there, waiting at most the time for it; returns False at the end of output."""
        if not select.select([self.fd], [], [], max(0, seconds))[0]:
            return True
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            return False
        self.raw += data
        self.screen.feed(data)
        return bool(data)

    def read(self, seconds):
        """Reads what comes within the time; returns False at the end of output."""
        end = time.monotonic() + seconds
        while self.read_some(end - time.monotonic()):
            if time.monotonic() >= end:
                return True
        return False

    def send(self, text):
        data = text if isinstance(text, bytes) else text.encode()
        while data:
            n = os.write(self.fd, data[:2048])
            data = data[n:]
            if data:
                self.read(0.0005)

    def paste(self, text):
        self.send("\x1b[200~" + text.replace("\n", "\r") + "\x1b[201~")

    def wait_for(self, condition, timeout=20.0, what="the expected screen"):
        """Waits until condition(screen) holds; returns the seconds it took."""
        start = time.monotonic()
        while True:
            if condition(self.screen):
                return time.monotonic() - start
            if time.monotonic() - start > timeout:
                raise AssertionError(f"no {what} within {timeout} s; the screen is:\n" + "\n".join(self.screen.lines()))
            alive = self.read_some(0.02)
            if not alive and not condition(self.screen):
                raise AssertionError(f"lmfast ended before {what}; the screen is:\n" + "\n".join(self.screen.lines()))

    def at_prompt(self):
        return self.wait_for(lambda s: s.visible()[s.cursor()[0]] == PROMPT and s.cursor()[1] == len(PROMPT) + 1,
                             what="empty prompt")

    def wait_text(self, text, timeout=20.0):
        return self.wait_for(lambda s: any(text in line for line in s.lines()), timeout, repr(text))

    def wait_line(self, text, timeout=20.0):
        return self.wait_for(lambda s: text in s.lines(), timeout, f"row {text!r}")

    def run(self, line):
        """Types a line, waits for the next prompt, returns the rows between."""
        self.at_prompt()
        start = len(self.screen.lines())
        echo = (PROMPT + " " + line)[: self.screen.columns]
        self.send(line + "\r")

        def echoed():
            rows = self.screen.lines()
            whole = len(echo) < self.screen.columns
            found = [i for i in range(max(0, start - 3), len(rows))
                     if rows[i] == echo.rstrip() or (not whole and rows[i].startswith(echo))]
            return found[-1] if found else None

        self.wait_for(lambda s: echoed() is not None and s.y > echoed() and s.lines()[s.y] == PROMPT, what="next prompt")
        first = echoed()
        while self.screen.rows[first].soft:
            first += 1
        rows = self.screen.lines()[first + 1 : self.screen.y]
        return rows[:-1] if rows and rows[-1].startswith("[") else rows  # the row of running jobs

    def wait_exit(self, timeout=20.0):
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            self.read(0.02)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
                self.read(0.1)
                return self.status
        raise AssertionError(f"lmfast did not end within {timeout} s; the screen is:\n" + "\n".join(self.screen.lines()))
