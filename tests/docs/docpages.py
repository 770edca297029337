"""Reads what the documentation tests need out of Markdown."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

_BLOCK = re.compile(r"^```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^```\s*$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)\s]+)\)|!\[[^\]]*\]\((?P<image>[^)\s]+)\)")
_HEADING = re.compile(r"^#+ (?P<title>.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One fenced block of code: its language, its text, and the line it starts at."""

    language: str
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    """Every fenced block of a page, in order."""
    content = page.read_text("utf-8")
    return [Block(m["language"], m["text"], content[: m.start()].count("\n") + 2) for m in _BLOCK.finditer(content)]


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return _BLOCK.sub("", page.read_text("utf-8"))


def links(page: Path) -> list[str]:
    """Targets of every link and image."""
    return [m["target"] or m["image"] for m in _LINK.finditer(prose(page))]


def anchors(page: Path) -> set[str]:
    """What a link may name after ``#``: headings in lower case, spaces as hyphens, other signs dropped."""
    titles = (re.sub(r"[`*]", "", m["title"]) for m in _HEADING.finditer(prose(page)))
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def table_rows(page: Path, heading: str) -> list[list[str]]:
    """Cells of the tables below a heading, up to the next heading; header rows left out, backticks removed."""
    content = page.read_text("utf-8")
    match = re.search(rf"^#+ {re.escape(heading)}$(?P<body>.*?)(?=^#+ |\Z)", content, re.MULTILINE | re.DOTALL)
    if not match:
        raise AssertionError(f"{page.name} has no heading {heading!r}")
    rows = []
    lines = match["body"].splitlines()
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        is_rule = re.fullmatch(r"[|:\- ]+", line) is not None
        is_header = re.fullmatch(r"\|[|:\- ]+", following) is not None
        if line.startswith("|") and not is_rule and not is_header:
            rows.append([cell.strip().replace("`", "") for cell in line.strip().strip("|").split("|")])
    return rows
