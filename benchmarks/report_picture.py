"""Take the picture of the report that README.md shows, from the real demo, in the system's Chromium.

    python benchmarks/report_picture.py          (or: make picture)

Writes docs/images/report.png, and beside it report.json with the numbers that the picture shows and the picture's hash;
puts the same numbers into the text that README.md gives for the picture. Tests compare both with a demo of their own.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

from cmrseg.cli.demo import STUDY_NAME, run_demo

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "images" / "report.png"
NUMBERS = PICTURE.with_suffix(".json")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WIDTH, HEIGHT = 1000, 1370
#: Numbers that the text of the picture gives, as they stand on top of the report: name, key, unit.
TOLD = (
    ("LVEF", "lv_ef_percent", "%"),
    ("LVEDV", "lv_edv_ml", "mL"),
    ("LVESV", "lv_esv_ml", "mL"),
    ("LV mass", "lv_mass_g", "g"),
    ("RVEF", "rv_ef_percent", "%"),
)


def picture_of(report: Path) -> bytes:
    """The upper part of a report as PNG, the cine standing still."""
    from playwright.sync_api import sync_playwright

    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser is None:
        sys.exit(f"No Chromium is installed: {', '.join(BROWSERS)}.")
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = chromium.new_page(viewport={"width": WIDTH, "height": HEIGHT}, reduced_motion="reduce")
        page.goto(report.resolve().as_uri())
        page.wait_for_function("[...document.images].every(image => image.complete)")
        page.wait_for_timeout(500)
        taken: bytes = page.screenshot()
        chromium.close()
    return taken


def alternative_text(measured: dict[str, float]) -> str:
    """What the picture shows, in words."""
    numbers = ", ".join(f"{name} {measured[key]:.0f} {unit}" for name, key, unit in TOLD)
    return (
        f"Report of a synthetic heart: {numbers}, beside healthy ranges; a playing cine, volume-time curves, contours"
    )


def main() -> None:
    """Run the demo, take its picture, and write down what it shows."""
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # the report tells the path as it was given, here as make demo gives it
        output = Path("demo")
        run_demo(output, lambda text: print(text, flush=True))  # noqa: T201
        result = output / "result" / STUDY_NAME
        measured = json.loads((result / "measurements.json").read_text(encoding="utf-8"))
        picture = picture_of(result / "report.html")
        os.chdir(ROOT)
    shown = {key: measured[key] for _, key, _ in TOLD}
    record = {"command": "make picture", "measured": shown, "verdict": measured["verdict"]}
    record["sha256"] = hashlib.sha256(picture).hexdigest()
    PICTURE.write_bytes(picture)
    NUMBERS.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    shows = f"![{alternative_text(shown)}](docs/images/report.png)"
    readme.write_text(re.sub(r"!\[[^]]*\]\(docs/images/report\.png\)", shows, text), encoding="utf-8")


if __name__ == "__main__":
    main()
