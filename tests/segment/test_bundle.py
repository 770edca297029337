"""A bundle is run only if every byte is what was published."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from cmrseg.errors import BundleError, UsageError
from cmrseg.segment import bundle as bundles
from cmrseg.segment.bundle import load, shipped_bundles
from cmrseg.segment.manifest import manifest_bytes


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of the cine bundle that ships, free to damage."""
    return Path(shutil.copytree(shipped_bundles()["cine"], tmp_path / "cine"))


def test_shipped_bundle_is_whole_small_and_says_its_licence() -> None:
    bundle = load("cine")
    assert bundle.kind == "cine"
    assert bundle.manifest["licence_id"] == "CC-BY-NC-SA-4.0"
    assert sum(p.stat().st_size for p in bundle.path.iterdir()) < 20e6
    card = (bundle.path / "CARD.md").read_text()
    assert "Bernard" in card
    assert f"{bundle.manifest['measured']['held_out']['dice_mean']:.4f}" in card
    assert not set(bundle.manifest["split"]["train"]) & set(bundle.manifest["split"]["validation"])


def test_no_bundle_that_ships_tells_where_its_maker_kept_things() -> None:
    for manifest in shipped_bundles()["cine"].parent.glob("*/*.json"):
        assert '"/' not in manifest.read_text(), manifest


@pytest.mark.parametrize("name", sorted(bundles.REQUIRED_FILES))
def test_a_changed_byte_is_an_error(copied: Path, name: str) -> None:
    content = bytearray((copied / name).read_bytes())
    for place in np.random.default_rng(len(content)).integers(0, len(content), 5):
        damaged = bytearray(content)
        damaged[place] ^= 1
        (copied / name).write_bytes(damaged)
        with pytest.raises(BundleError, match=name):
            load(copied)


def test_every_byte_of_the_manifest_counts(copied: Path) -> None:
    content = (copied / "bundle.json").read_bytes()
    for place in np.random.default_rng(1).integers(0, len(content), 40):
        damaged = bytearray(content)
        damaged[place] ^= 1
        (copied / "bundle.json").write_bytes(damaged)
        with pytest.raises(BundleError):
            load(copied)


def test_missing_and_superfluous_files_are_errors(copied: Path) -> None:
    (copied / "extra.onnx").write_bytes(b"x")
    with pytest.raises(BundleError, match=r"extra\.onnx"):
        load(copied)
    (copied / "extra.onnx").unlink()
    (copied / "locator.onnx").unlink()
    with pytest.raises(BundleError, match=r"locator\.onnx"):
        load(copied)


def test_a_newer_format_is_refused(copied: Path) -> None:
    manifest = json.loads((copied / "bundle.json").read_text())
    manifest["format_version"] = 2
    (copied / "bundle.json").write_bytes(manifest_bytes(manifest))
    with pytest.raises(BundleError, match="format 2"):
        load(copied)


def test_unknown_names_runtimes_and_variants_are_named(tmp_path: Path, copied: Path) -> None:
    with pytest.raises(BundleError, match="cine"):
        load(tmp_path / "nothing")
    with pytest.raises(UsageError, match="tensorrt"):
        load("cine").pipeline("tensorrt")  # type: ignore[arg-type]
    manifest = json.loads((copied / "bundle.json").read_text())
    manifest["files"].pop("model_int8.onnx", None)
    (copied / "model_int8.onnx").unlink(missing_ok=True)
    (copied / "bundle.json").write_bytes(manifest_bytes(manifest))
    with pytest.raises(BundleError, match="quantised"):
        load(copied).pipeline(int8=True)


def test_int8_agrees_with_fp32_on_most_pixels() -> None:
    bundle = load("cine")
    inputs = np.random.default_rng(0).normal(size=(2, 3, 128, 128)).astype(np.float32)
    fp32 = bundle.pipeline().segmenter.predict(inputs).argmax(axis=2)
    int8 = bundle.pipeline(int8=True).segmenter.predict(inputs).argmax(axis=2)
    assert (fp32 == int8).mean() > 0.98


def restated(folder: Path, **changes: object) -> bundles.Bundle:
    """The bundle with other entries in its manifest."""
    manifest = json.loads((folder / "bundle.json").read_text()) | changes
    (folder / "bundle.json").write_bytes(manifest_bytes(manifest))
    return load(folder)


def test_a_bundle_assesses_what_the_layouts_of_its_training_hold() -> None:
    assert load("cine").assesses == {"rv_cavity", "lv_myocardium", "lv_cavity"}
    lge = load("lge")
    # MyoPS draws no no-reflow; that of generated stacks was drawn by nobody
    assert lge.assesses == {"rv_cavity", "lv_myocardium", "lv_cavity", "scar"}
    unknown = lge.pipeline().not_assessed
    assert list(unknown) == ["no_reflow"]
    assert "lge 0.11.0 were never trained on no-reflow" in unknown["no_reflow"]


@pytest.mark.parametrize(
    ("layout", "cine", "missing"),
    [
        ("emidec", "", {"rv_cavity"}),
        ("emidec", "training", set()),
        ("scarnet", "training", {"no_reflow"}),
        ("a_layout_of_ones_own", "", {"no_reflow"}),
    ],
)
def test_each_layout_counts_for_what_is_drawn_in_it(copied: Path, layout: str, cine: str, missing: set[str]) -> None:
    data = {"layout": layout, "generated": {"cine": cine, "layout": "acdc"}}
    every = {"rv_cavity", "lv_myocardium", "lv_cavity", "scar", "no_reflow"}
    bundle = restated(copied, label_scheme="lge_rv", kind="lge", training=[{"data": data}])
    assert bundle.assesses == every - missing
    # what one member never saw, the ensemble cannot tell
    other = {"data": {"layout": "myops"}}
    assert restated(copied, training=[{"data": data}, other]).assesses == every - missing - {"no_reflow"}


def test_a_bundle_may_say_itself_what_it_assesses(copied: Path) -> None:
    bundle = restated(copied, assesses=["lv_cavity", "lv_myocardium", "oedema"])
    assert bundle.assesses == {"lv_cavity", "lv_myocardium"}
    assert list(bundle.pipeline().not_assessed) == ["rv_cavity"]
