"""Links of the documentation lead somewhere, and every page can be reached."""

from __future__ import annotations

from pathlib import Path

import pytest
from docpages import PAGES, ROOT, anchors, links


def _target(page: Path, link: str) -> tuple[Path, str]:
    path, _, anchor = link.partition("#")
    return (page.parent / path).resolve() if path else page, anchor


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_links_within_the_repository_lead_somewhere(page: Path) -> None:
    broken = []
    for link in links(page):
        if "://" in link:
            continue
        path, anchor = _target(page, link)
        if not path.exists() or (anchor and anchor not in anchors(path)):
            broken.append(link)
    assert not broken


def test_every_page_is_linked_from_the_index() -> None:
    index = ROOT / "docs" / "index.md"
    reached = {_target(index, link)[0] for link in links(index)}
    missing = [p for p in PAGES if (ROOT / "docs") in p.parents and p != index and p.resolve() not in reached]
    assert not missing
