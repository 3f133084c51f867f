"""A terminal screen in memory: enough of a VT100 to check what lmfast draws. Standard library only."""

import re
import unicodedata


def width(char):
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


class Row:
    def __init__(self):
        self.cells = []  # text of each cell; "" is the second half of a wide character
        self.soft = False  # continues in the next row

    def text(self):
        return "".join(" " if c is None else c for c in self.cells).rstrip()


class Screen:
    def __init__(self, columns=80, rows=24):
        self.columns, self.height = columns, rows
        self.rows = [Row()]
        self.top = 0  # index of the first visible row; the ones before are the scrollback
        self.y, self.x = 0, 0  # y is an index into rows
        self.wrap_pending = False
        self.buffer = b""
        self.unknown = []

    # --- reading the screen
    def lines(self):
        return [row.text() for row in self.rows]

    def visible(self):
        return [row.text() for row in self.rows[self.top : self.top + self.height]]

    def joined(self, first, last):
        """The rows first .. last - 1 as text; rows that were wrapped at the margin are one line."""
        text = ""
        for row in self.rows[first:last]:
            text += row.text().ljust(self.columns) if row.soft else row.text() + "\n"
        return text

    def last(self):
        texts = [t for t in self.lines() if t]
        return texts[-1] if texts else ""

    def cursor(self):
        return self.y - self.top, self.x

    # --- drawing
    def feed(self, data):
        self.buffer += data
        try:
            text, rest = self.buffer.decode("utf-8"), b""
        except UnicodeDecodeError as e:
            if len(self.buffer) - e.start > 3:
                text, rest = self.buffer.decode("utf-8", "replace"), b""
            else:
                text, rest = self.buffer[: e.start].decode("utf-8"), self.buffer[e.start :]
        i = 0
        while i < len(text):
            if text[i] == "\x1b":
                match = re.compile(r"\x1b\[([?0-9;]*)([@-~])").match(text, i)
                if not match:
                    if len(text) - i < 20:
                        break  # an unfinished sequence
                    i += 1
                    continue
                self.sequence(match.group(1), match.group(2))
                i = match.end()
            else:
                self.char(text[i])
                i += 1
        self.buffer = text[i:].encode() + rest

    def row(self, y):
        while len(self.rows) <= y:
            self.rows.append(Row())
        return self.rows[y]

    def line_feed(self):
        self.y += 1
        self.row(self.y)
        self.top = max(self.top, self.y - self.height + 1)

    def char(self, c):
        if c == "\r":
            self.x, self.wrap_pending = 0, False
        elif c == "\n":
            self.wrap_pending = False
            self.line_feed()
        elif c == "\b":
            self.x = max(0, self.x - 1)
        elif c >= " ":
            self.put(c)

    def put(self, c):
        cells = width(c)
        row = self.row(self.y)
        if cells == 0:
            at = self.x - (0 if self.wrap_pending else 1)
            while at > 0 and row.cells[at] == "":
                at -= 1
            if 0 <= at < len(row.cells):
                row.cells[at] = (row.cells[at] or " ") + c
            return
        if self.wrap_pending or self.x + cells > self.columns:
            row.soft = True
            self.line_feed()
            self.x, self.wrap_pending = 0, False
            row = self.row(self.y)
        while len(row.cells) < self.x + cells:
            row.cells.append(None)
        row.cells[self.x] = c
        if cells == 2:
            row.cells[self.x + 1] = ""
        self.x += cells
        if self.x >= self.columns:
            self.x, self.wrap_pending = self.columns - 1, True

    def sequence(self, arguments, last):
        if arguments.startswith("?") or last in "m":
            return
        numbers = [int(n) if n else 0 for n in arguments.split(";")] if arguments else []
        n = max(1, numbers[0] if numbers else 1)
        self.wrap_pending = False
        if last == "A":
            self.y = max(self.top, self.y - n)
        elif last == "B":
            self.y = min(self.top + self.height - 1, self.y + n)
            self.row(self.y)
        elif last == "C":
            self.x = min(self.columns - 1, self.x + n)
        elif last == "D":
            self.x = max(0, self.x - n)
        elif last == "G":
            self.x = min(self.columns, n) - 1
        elif last == "H":
            self.y, self.x = self.top, 0
        elif last == "J" and numbers[:1] == [2]:
            for row in self.rows[self.top :]:
                row.cells, row.soft = [], False
        elif last == "J":
            self.clear_right()
            del self.rows[self.y + 1 :]
        elif last == "K":
            self.clear_right()
        else:
            self.unknown.append(arguments + last)

    def clear_right(self):
        row = self.row(self.y)
        del row.cells[self.x :]
        row.soft = False

    def resize(self, columns, height):
        """Wraps soft rows anew and moves the cursor with its text, as tmux, kitty and VTE do."""
        lines, mark = [[]], (0, 0)
        for y, row in enumerate(self.rows):
            if y == self.y:
                mark = (len(lines) - 1, len(lines[-1]) + self.x)
            cells = row.cells + ([None] * (self.columns - len(row.cells)) if row.soft else [])
            lines[-1] += cells
            if not row.soft and y + 1 < len(self.rows):
                lines.append([])
        self.columns, self.height, self.rows = columns, height, []
        for i, cells in enumerate(lines):
            start = 0
            while True:
                end = start + columns
                if end < len(cells) and cells[end] == "":
                    end -= 1
                row = Row()
                row.cells = cells[start:end]
                row.soft = end < len(cells)
                if i == mark[0] and start <= mark[1] and (mark[1] < end or not row.soft):
                    self.y, self.x = len(self.rows), min(mark[1] - start, columns - 1)
                self.rows.append(row)
                if not row.soft:
                    break
                start = end
        self.wrap_pending = False
        self.top = max(0, len(self.rows) - height, self.y - height + 1)
