"""A written page, parsed."""

from dataclasses import dataclass, field
from html.parser import HTMLParser


@dataclass
class Parsed(HTMLParser):
    """The elements of a page, with their attributes, and the text outside of script and style."""

    elements: list = field(default_factory=list)
    words: list = field(default_factory=list)

    def __post_init__(self):
        super().__init__()
        self.inside = ""

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self.inside = tag

    def handle_endtag(self, tag):
        self.inside = ""

    def handle_data(self, data):
        if self.inside not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def parse(path):
    parsed = Parsed()
    parsed.feed(path.read_text(encoding="utf-8"))
    return parsed
