"""The little of Markdown that the tests of the documentation need: fences, links, anchors of headings."""

import re


def fences(text):
    """Yields every fenced block: language, whether it says `norun`, line of its first line of code, code."""
    inside, lines, first = None, [], 0
    for number, line in enumerate(text.split("\n"), 1):
        match = re.match(r"^ {0,3}```(.*)$", line)
        if match and inside is None:
            inside, lines, first = match[1].strip(), [], number + 1
        elif match:
            words = inside.split()
            yield {"language": words[0] if words else "", "norun": "norun" in words, "line": first, "code": "\n".join(lines)}
            inside = None
        elif inside is not None:
            lines.append(line)


def without_code(text):
    text = re.sub(r"^ {0,3}```.*?^ {0,3}```", "", text, flags=re.M | re.S)
    return re.sub(r"`[^`\n]*`", "`", text)


def links(text):
    """Returns the targets of links that stay in the repository."""
    targets = re.findall(r"\]\(([^)\s]+)\)", without_code(text))
    return [target for target in targets if not re.match(r"[a-z]+:", target)]


def anchors(text):
    """Returns the names that headings get on the usual forges."""
    text = re.sub(r"^ {0,3}```.*?^ {0,3}```", "", text, flags=re.M | re.S)
    found = set()
    for heading in re.findall(r"^#+ +(.+?) *#*$", text, re.M):
        found.add(re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-"))
    return found
