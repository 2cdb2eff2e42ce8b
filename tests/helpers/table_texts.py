"""Tables in HTML and LaTeX, read back."""

import re
from html.parser import HTMLParser


class Reader(HTMLParser):
    """Collects tags with their attributes and texts, and refuses what is not closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.cells, self.texts = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        if tag in ("th", "td"):
            self.cells.append((tag, dict(attrs), ""))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("th", "td"):
            tag, attrs, text = self.cells[-1]
            self.cells[-1] = (tag, attrs, text + data)
        elif data.strip():
            self.texts.append(data)


def tabulars(text):
    """Every tabular as (its columns, its rows of entries), after checking that all environments are closed in order."""
    stack, found = [], []
    for what, name in re.findall(r"\\(begin|end)\{(\w+)\}", text):
        if what == "begin":
            stack.append(name)
        else:
            assert stack.pop() == name
    assert stack == []
    for columns, body in re.findall(r"\\begin\{tabular\}\{(\w+)\}\n(.*?)\\end\{tabular\}", text, re.S):
        lines = [line for line in body.splitlines() if not line.startswith(("\\toprule", "\\midrule", "\\bottomrule"))]
        assert all(line.endswith(r" \\") for line in lines)
        found.append((columns, [re.split(r"(?<!\\)&", line.removesuffix(r" \\")) for line in lines]))
    return found


def balanced(text):
    depth = 0
    for character in re.sub(r"\\.", "", text):
        depth += {"{": 1, "}": -1}.get(character, 0)
        assert depth >= 0
    return depth == 0
