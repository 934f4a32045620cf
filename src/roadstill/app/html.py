"""What the page shows, as HTML in which everything that files say is escaped; Streamlit would read it as Markdown."""

import base64
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from roadstill.app.play import Drawn
from roadstill.errors import one_line
from roadstill.report.captions import Tile
from roadstill.report.wording import FILTERS


def style() -> str:
    """The page's own styles."""
    return f"<style>{files('roadstill.app').joinpath('page.css').read_text(encoding='utf-8')}</style>"


def tiles(pictures: Sequence[Tile]) -> str:
    """Pictures of a set with their captions, made ones beside the nearest real frame."""
    return _part("tiles", pictures)


def drawn(pictures: Sequence[Drawn]) -> str:
    """Pictures that were drawn just now, exactly as a set would hold them."""
    shown = [
        vars(each) | {"uri": "data:image/png;base64," + base64.b64encode(each.png).decode(), "facts": list(each.facts)}
        for each in pictures
    ]
    return _part("drawn", shown)


def arms(table: Mapping[str, Any]) -> str:
    """The table of arms."""
    return _part("arms", table)


def heading(name: str) -> str:
    """The name of the run."""
    return _part("heading", name)


def found(title: str, count: int, total: int, number: int, pages: int) -> str:
    """How many pictures of a set were found, and which page of them is shown."""
    return _part("found", title, count, total, number, pages)


def note(text: str) -> str:
    """A remark, such as what is wrong with a file."""
    return _part("note", one_line(text))


def plain(text: str) -> str:
    """A name out of a file as Markdown that says it letter by letter: titles of widgets are Markdown."""
    return re.sub(r"([^\w\s])", r"\\\1", one_line(text))


def _part(name: str, *given: Any) -> str:
    return str(getattr(_templates().get_template("parts.html").module, name)(*given))


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("roadstill.app", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= FILTERS
    return environment
