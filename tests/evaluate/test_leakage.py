"""Patients who trained are found by their id and by the pixels of their images."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cmrseg.errors import BundleError, UsageError
from cmrseg.evaluate.leakage import (
    SharedPatient,
    SharedPictures,
    check_leakage,
    parts_of_results,
    picture_hashes,
    read_parts,
    shared_patients,
    shared_pictures,
)
from cmrseg.segment import bundle


def pictures(seed: int, frames: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(frames, 3, 8, 8)).astype(np.float32)


def test_a_patient_in_two_parts_of_one_split() -> None:
    parts = {"train": ("a", "b", "c"), "validation": ("c", "d"), "test": ("d", "e")}
    assert shared_patients(parts) == (
        SharedPatient("d", "test", "validation"),
        SharedPatient("c", "train", "validation"),
    )
    assert shared_patients({"train": ("a",), "test": ("b",)}) == ()


def test_a_patient_who_trains_one_network_and_judges_another() -> None:
    first, second = {"train": ("a", "b"), "test": ("c",)}, {"train": ("a", "c"), "test": ("b",)}
    # both train on a, which is no leak
    assert {(s.case_id, s.first, s.second) for s in shared_patients(first, second)} == {
        ("c", "test", "train"),
        ("b", "train", "test"),
    }


def test_a_split_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "split.json"
    path.write_text(json.dumps({"train": ["a", 7], "validation": []}))
    assert read_parts(path) == {"train": ("a", "7"), "validation": ()}


@pytest.mark.parametrize("content", ["{", '{"validation": ["a"]}', '{"train": "a"}', "[1]", "\xff"])
def test_what_is_no_split_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "split.json"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(UsageError, match="split"):
        read_parts(path)


def test_the_split_of_a_bundle_is_read() -> None:
    assert read_parts("cine")["train"] == tuple(bundle.load("cine").manifest["split"]["train"])
    with pytest.raises(BundleError):
        read_parts("no-such-bundle")


def test_a_patient_who_trained_is_no_validation_patient_as_well() -> None:
    sources = {"one": {"train": ("a", "b"), "validation": ("c",)}, "two": {"train": ("c",), "validation": ("a", "d")}}
    found = check_leakage(["d", "c", "b", "x"], sources)
    assert (found.sources, found.trained, found.chosen) == (("one", "two"), ("b", "c"), ("d",))
    nothing = check_leakage(["a"], {})
    assert (nothing.sources, nothing.trained) == ((), ())


def test_the_same_picture_has_the_same_hash_wherever_it_is_stored() -> None:
    image = pictures(0)
    assert len(picture_hashes(image)) == 6
    assert picture_hashes(image[::-1, ::-1].copy()) == picture_hashes(image)
    assert picture_hashes(np.asfortranarray(image)) == picture_hashes(image)
    assert picture_hashes(image + 1.0).isdisjoint(picture_hashes(image))
    zeros = np.array([[[[0.0, 1.0]]]], np.float32)
    assert picture_hashes(zeros) == picture_hashes(np.array([[[[-0.0, 1.0]]]], np.float32))


def test_empty_pictures_and_sizes_are_told_apart() -> None:
    assert picture_hashes(np.zeros((2, 3, 8, 8), np.float32)) == frozenset()
    assert picture_hashes(np.zeros((0, 0, 8, 8), np.float32)) == frozenset()
    flat = np.arange(12, dtype=np.float32)
    assert picture_hashes(flat.reshape(1, 1, 3, 4)) != picture_hashes(flat.reshape(1, 1, 4, 3))


def test_one_person_under_two_names_is_found() -> None:
    first, second, third = pictures(0), pictures(1), pictures(2)
    second[1] = first[0]
    third[0, 0] = first[1, 2]
    found = shared_pictures({k: picture_hashes(v) for k, v in {"a": first, "b": second, "c": third}.items()})
    assert found == (SharedPictures("a", "b", 3), SharedPictures("a", "c", 1))
    assert shared_pictures({"a": picture_hashes(first)}) == ()


def test_results_tell_which_bundle_made_them(tmp_path: Path) -> None:
    shipped = bundle.load("cine")
    for case_id, content in {
        "p1": {"bundles": {"cine": {"name": "cine", "sha256": shipped.sha256}}},
        "p2": {"bundles": {}},
        "p3": {"bundles": {"cine": {"name": "elsewhere", "sha256": "0"}}},
    }.items():
        (tmp_path / case_id).mkdir()
        (tmp_path / case_id / "run.json").write_text(json.dumps(content))
    (tmp_path / "p4").mkdir()
    (tmp_path / "p4" / "run.json").write_text("damaged")
    assert parts_of_results(tmp_path) == {"cine": read_parts("cine")}


def test_an_older_bundle_of_the_same_name_is_not_mistaken_for_the_one_that_ships(tmp_path: Path) -> None:
    (tmp_path / "p1").mkdir()
    (tmp_path / "p1" / "run.json").write_text(json.dumps({"bundles": {"cine": {"name": "cine", "sha256": "0" * 64}}}))
    assert parts_of_results(tmp_path) == {}
