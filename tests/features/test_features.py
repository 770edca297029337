"""Features by hand arithmetic, the table, and whose features it takes."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from cmrseg.cli.main import app
from cmrseg.errors import OutputError, UsageError
from cmrseg.features import FEATURES, features_of, write_table
from cmrseg.features.definitions import CINE_FEATURES, LGE_FEATURES
from cmrseg.features.intensity import LEAST_REMOTE, intensity_features
from cmrseg.features.sources import FeatureCase, Stack, feature_folders
from cmrseg.features.table import LEADING, row_of
from cmrseg.geometry import Geometry
from cmrseg.labels import CINE, LGE
from cmrseg.phantom import make_phantom, tiny, write_acdc_patient
from cmrseg.phantom.enhancement import make_lge_phantom, random_spec
from cmrseg.phantom.enhancement.nifti import write_myops_patient
from cmrseg.study import Image, Segmentation

GRID = Geometry.from_spacing((2.0, 1.0, 10.0), (40, 60, 2))


def lge() -> tuple[Segmentation, Image]:
    """Voxels of 2 x 1 x 10 mm: muscle as a frame round the cavity, one scar of 6 x 10 and one of 3 x 4 pixels."""
    labels = np.zeros((1, 2, 60, 40), np.uint8)
    labels[0, :, 10:50, 5:35] = LGE["lv_myocardium"]
    labels[0, :, 20:40, 12:28] = LGE["lv_cavity"]
    labels[0, 0, 10:20, 5:11] = LGE["scar"]
    labels[0, 0, 45:49, 30:33] = LGE["no_reflow"]
    pixels = np.zeros((1, 2, 60, 40), np.float32)
    remote = labels == LGE["lv_myocardium"]
    pixels[remote] = np.where(np.arange(remote.sum()) % 2 == 0, 90.0, 110.0)
    pixels[labels == LGE["scar"]] = 200.0
    pixels[labels == LGE["no_reflow"]] = 100.0
    pixels[labels == LGE["lv_cavity"]] = 150.0
    return Segmentation(labels, LGE, GRID), Image("lge", pixels, GRID)


def test_size_and_shape_of_scar() -> None:
    values = features_of(*lge())
    assert tuple(values) == LGE_FEATURES
    assert values["scar_volume_ml"] == pytest.approx((60 + 12) * 20 / 1000)
    assert values["scar_mass_g"] == pytest.approx(1.44 * 1.05)
    assert values["scar_slices"] == 1
    assert values["scar_components"] == 2
    assert values["scar_largest_percent"] == pytest.approx(100 * 60 / 72)
    area = 72 * 2.0
    assert values["scar_perimeter_per_area_per_mm"] == pytest.approx(values["scar_perimeter_mm"] / area)
    # 12 x 10 mm and 6 x 4 mm; outlines along the axes come out short, by most where pixels are long
    assert values["scar_perimeter_mm"] == pytest.approx(44 + 20, rel=0.14)


def test_brightness_is_told_in_sd_of_remote_muscle() -> None:
    segmentation, image = lge()
    values = features_of(segmentation, image)
    n = int((segmentation.labels == LGE["lv_myocardium"]).sum())
    sd = math.sqrt(100.0 * n / (n - 1))  # 90 and 110 in turn; n is even
    assert n % 2 == 0
    assert values["remote_voxels"] == n
    assert values["blood_intensity_mean_sd"] == pytest.approx(50 / sd)
    # 60 voxels at 100 above remote's mean, 12 at 0
    assert values["scar_intensity_mean_sd"] == pytest.approx(60 / 72 * 100 / sd)
    assert values["scar_intensity_median_sd"] == pytest.approx(100 / sd)
    assert values["scar_intensity_p10_sd"] == pytest.approx(0.0, abs=1e-6)
    assert values["scar_dark_percent"] == pytest.approx(100 * 12 / 72)
    p = 60 / 72
    assert values["scar_intensity_spread_sd"] == pytest.approx(math.sqrt(p * (1 - p)) * 100 / sd)
    assert values["scar_intensity_skewness"] == pytest.approx((1 - 2 * p) / math.sqrt(p * (1 - p)))
    assert values["scar_intensity_kurtosis"] == pytest.approx((1 - 6 * p * (1 - p)) / (p * (1 - p)))
    assert values["scar_intensity_entropy_bits"] == pytest.approx(-p * math.log2(p) - (1 - p) * math.log2(1 - p))
    assert values["scar_intensity_uniformity"] == pytest.approx(p * p + (1 - p) * (1 - p))


def test_units_of_the_scanner_do_not_matter() -> None:
    segmentation, image = lge()
    other = replace(image, data=(image.data * 7 - 300).astype(np.float32))
    first, second = features_of(segmentation, image), features_of(segmentation, other)
    for key, value in first.items():
        if key.startswith(("scar_intensity", "blood", "scar_dark")):
            assert second[key] == pytest.approx(value, abs=1e-4), key


def test_what_cannot_be_known_is_none() -> None:
    segmentation, image = lge()
    unseen = features_of(segmentation)
    assert unseen["scar_intensity_mean_sd"] is None
    assert unseen["scar_volume_ml"] is not None
    healthy = np.where(np.isin(segmentation.labels, [LGE["scar"], LGE["no_reflow"]]), LGE["lv_myocardium"], 0)
    clean = replace(segmentation, labels=np.maximum(segmentation.labels * (healthy == 0), healthy).astype(np.uint8))
    values = features_of(clean, image)
    assert values["scar_volume_ml"] == 0
    assert values["scar_slices"] == 0
    assert values["scar_perimeter_mm"] is None
    assert values["scar_intensity_mean_sd"] is None
    assert values["blood_intensity_mean_sd"] is not None
    few = intensity_features(np.ones(50), np.arange(LEAST_REMOTE - 1.0), np.ones(3))
    assert few == {"remote_voxels": LEAST_REMOTE - 1}
    assert intensity_features(np.ones(50), np.ones(50), np.ones(3)) == {"remote_voxels": 50}
    assert set(intensity_features(np.ones(9), np.arange(50.0), np.ones(0))) == {"remote_voxels"}
    constant = intensity_features(np.full(50, 90.0), np.arange(50.0), np.ones(0))
    assert "scar_intensity_skewness" not in constant
    assert constant["scar_intensity_entropy_bits"] == 0


def test_cine_features() -> None:
    """Cavity of 10 x 20 and 10 x 10 pixels at end-diastole in 2 slices of 10 mm, half of it at end-systole."""
    labels = np.zeros((2, 2, 60, 40), np.uint8)
    labels[:, :, 8:42, 3:27] = CINE["lv_myocardium"]
    labels[0, 0, 10:30, 5:15] = CINE["lv_cavity"]
    labels[0, 1, 10:20, 5:15] = CINE["lv_cavity"]
    labels[1, 0, 10:20, 5:15] = CINE["lv_cavity"]
    labels[1, 1, 10:15, 5:15] = CINE["lv_cavity"]
    values = features_of(Segmentation(labels, CINE, GRID))
    assert tuple(values) == CINE_FEATURES
    assert values["lv_edv_ml"] == pytest.approx(300 * 20 / 1000)
    muscle = 2 * 34 * 24 - 300
    assert values["lv_mass_to_volume_g_ml"] == pytest.approx(muscle * 1.05 / 300)
    assert values["lv_sphericity_ed"] == pytest.approx(math.sqrt(4 * 400 / math.pi) / 20)


def test_masks_of_another_scheme_have_no_features() -> None:
    from cmrseg.labels import PROMPTED

    with pytest.raises(UsageError):
        features_of(Segmentation(np.zeros((1, 2, 60, 40), np.uint8), PROMPTED, GRID))


def test_rejected_numbers_are_withheld() -> None:
    stacks = (Stack(*lge()),)
    kept = row_of(FeatureCase("a", "result", "review", stacks))
    withheld = row_of(FeatureCase("a", "result", "reject", stacks))
    assert kept["scar_volume_ml"] is not None
    assert tuple(kept) == tuple(withheld) == (*LEADING, *FEATURES)
    assert all(withheld[key] is None for key in FEATURES)


def test_table_of_results_and_patients(tmp_path: Path) -> None:
    """A patient of ACDC, one of MyoPS, and both measured by cmrseg: the same numbers either way."""
    phantom = make_phantom(tiny())
    write_acdc_patient(phantom, tmp_path / "data" / "patient001")
    spec = replace(random_spec(np.random.default_rng(1), scar=True), slice_distance_mm=None)
    write_myops_patient(make_lge_phantom(tiny(), spec, 1), tmp_path / "data" / "Case0001")
    run = CliRunner()
    study = tmp_path / "data" / "Case0001"
    masks = study / "Case0001_gd.nii.gz"
    done = run.invoke(app, ["measure", str(study), str(masks), "--scheme", "myops", "-o", str(tmp_path / "out")])
    assert done.exit_code in (0, 3), done.output
    table = tmp_path / "table.csv"
    done = run.invoke(
        app,
        [
            "features",
            str(tmp_path / "data"),
            str(tmp_path / "out"),
            "-o",
            str(table),
            "--studies",
            str(tmp_path / "data"),
        ],
    )
    assert done.exit_code == 0, done.output
    assert "3 patients" in done.output
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [*LEADING, *FEATURES]
    given, acdc, result = rows
    assert [r["id"] for r in rows] == ["Case0001", "patient001", "Case0001"]
    assert (given["source"], result["source"]) == ("data set", "result")
    assert given["verdict"] == ""
    assert result["verdict"] in ("pass", "review", "reject")
    assert acdc["scar_mass_g"] == ""
    assert float(acdc["lv_edv_ml"]) == pytest.approx(phantom.truth.lv_edv_ml, rel=0.05)
    assert given["lv_edv_ml"] == ""
    if result["verdict"] != "reject":
        for key in ("scar_mass_g", "scar_intensity_mean_sd", "scar_circularity"):
            assert float(result[key]) == pytest.approx(float(given[key]), rel=1e-6), key


def test_result_without_its_study_has_shape_but_no_brightness(tmp_path: Path) -> None:
    spec = replace(random_spec(np.random.default_rng(1), scar=True), slice_distance_mm=None)
    write_myops_patient(make_lge_phantom(tiny(), spec, 1), tmp_path / "Case0001")
    masks = tmp_path / "Case0001" / "Case0001_gd.nii.gz"
    run = CliRunner()
    run.invoke(
        app, ["measure", str(tmp_path / "Case0001"), str(masks), "--scheme", "myops", "-o", str(tmp_path / "out")]
    )
    numbers = tmp_path / "out" / "Case0001" / "measurements.json"
    changed = json.loads(numbers.read_text()) | {"verdict": "review"}
    numbers.write_text(json.dumps(changed))
    done = run.invoke(app, ["features", str(tmp_path / "out"), "-o", str(tmp_path / "t.csv"), "--quiet"])
    assert (done.exit_code, done.output) == (0, "")
    with (tmp_path / "t.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert float(row["scar_mass_g"]) > 0
    assert row["scar_intensity_mean_sd"] == ""
    elsewhere = run.invoke(
        app,
        ["features", str(tmp_path / "out"), "-o", str(tmp_path / "t.csv"), "--studies", str(tmp_path / "out" / "none")],
    )
    assert elsewhere.exit_code == 2
    assert "is not in none" in elsewhere.output


def test_damaged_result_is_named_and_the_others_are_done(tmp_path: Path) -> None:
    for k in (1, 2):
        write_acdc_patient(make_phantom(tiny()), tmp_path / f"patient00{k}")
    for file in (tmp_path / "patient002").glob("*_gt.nii*"):
        file.write_bytes(b"damaged")
    done = CliRunner().invoke(app, ["features", str(tmp_path), "-o", str(tmp_path / "t.csv")])
    assert done.exit_code == 1
    assert "patient002" in done.output
    assert "1 patients" in done.output
    assert "1 refused" in done.output


def test_what_is_no_patient_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds none"):
        feature_folders([tmp_path])
    missing = CliRunner().invoke(app, ["features", str(tmp_path / "none"), "-o", str(tmp_path / "t.csv")])
    assert missing.exit_code == 1
    assert "not_found" in missing.output
    strange = CliRunner().invoke(app, ["features", str(tmp_path), "-o", str(tmp_path / "t.xlsx")])
    assert strange.exit_code == 2


def test_parquet_needs_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="pyarrow"):
        write_table([], tmp_path / "t.parquet")


def test_parquet_comes_back_with_nulls_and_units(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    row = row_of(FeatureCase("a", "data set", "", (Stack(*lge()),)))
    write_table([row], tmp_path / "t.parquet")
    table = parquet.read_table(tmp_path / "t.parquet")
    assert table.to_pylist() == [row]
    assert table.schema.metadata[b"unit.scar_mass_g"] == b"g"


def test_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        write_table([], tmp_path / "file" / "t.csv")


def test_full_disk_leaves_no_part_of_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("csv.DictWriter.writerows", full)
    with pytest.raises(OutputError, match="No space left"):
        write_table([], tmp_path / "t.csv")
    assert list(tmp_path.iterdir()) == []
