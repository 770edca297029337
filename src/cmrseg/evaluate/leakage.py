"""Whether patients who trained a network are among those it is judged by: by name, and by pixels of their images."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cmrseg.errors import UsageError
from cmrseg.segment import bundle

#: Patients of each part of a split, e.g. ``{"train": (...), "validation": (...)}``.
Parts = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class SharedPatient:
    """A patient who stands in two parts that must be apart."""

    case_id: str
    first: str
    second: str


@dataclass(frozen=True)
class SharedPictures:
    """Two patients whose images hold the same pictures: probably one person under two names.

    Args:
        first: one patient.
        second: the other.
        pictures: how many pictures (one slice of one frame) are equal, pixel for pixel.
    """

    first: str
    second: str
    pictures: int


def read_parts(source: Path | str) -> dict[str, tuple[str, ...]]:
    """Parts of a split.

    Args:
        source: a ``split.json`` of a training run, or name or folder of a bundle.

    Raises:
        UsageError: no such file, or it holds no split.
        BundleError: the bundle is damaged.
    """
    path = Path(source)
    if path.is_file():
        try:
            parts = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise UsageError(f"{path.name} cannot be read as JSON.", "Give the split.json of a run.") from error
    else:
        parts = bundle.load(source).manifest.get("split")
    lists = isinstance(parts, dict) and all(isinstance(ids, list) for ids in parts.values())
    if not lists or "train" not in parts:
        raise UsageError(f"{path.name} holds no split with a part 'train'.", "Give the split.json of a run.")
    return {str(name): tuple(map(str, ids)) for name, ids in parts.items()}


def shared_patients(first: Parts, second: Parts | None = None) -> tuple[SharedPatient, ...]:
    """Patients who trained one network and judge it, or another.

    Args:
        first: parts of one split.
        second: parts of another split; None to look within the first, where no two parts may share a patient. Between
            two splits a part may share patients with the part of the same name, and with no other.

    Returns:
        Each patient once per pair of parts, sorted; empty when all is well.
    """
    if second is None:
        pairs = [(a, b, first[a], first[b]) for a, b in combinations(sorted(first), 2)]
    else:
        pairs = [(a, b, first[a], second[b]) for a in sorted(first) for b in sorted(second) if a != b]
    return tuple(SharedPatient(i, a, b) for a, b, ids, others in pairs for i in sorted(set(ids) & set(others)))


def picture_hashes(data_TZYX: NDArray[np.float32]) -> frozenset[str]:
    """SHA-256 of every picture (one slice of one frame) of an image, over its size and its grey values.

    Values are hashed as float32 after slope and intercept, so that the same picture in another file, with another name
    or packed otherwise, has the same hash. Pictures of one value only are left out: all empty pictures are equal.
    """
    hashes = set()
    for picture in np.asarray(data_TZYX, np.float32).reshape(-1, *data_TZYX.shape[-2:]):
        if picture.size and picture.min() != picture.max():
            # 0 and -0 are one grey value with two bit patterns
            content = np.ascontiguousarray(picture + np.float32(0.0), "<f4").tobytes()
            hashes.add(hashlib.sha256(f"{picture.shape}".encode() + content).hexdigest())
    return frozenset(hashes)


def shared_pictures(hashes: Mapping[str, Iterable[str]]) -> tuple[SharedPictures, ...]:
    """Patients whose images hold the same pictures.

    Args:
        hashes: `picture_hashes` of each patient, by case id.

    Returns:
        Each pair once, most pictures first; empty when no two patients share one.
    """
    owners: dict[str, list[str]] = defaultdict(list)
    for case_id in sorted(hashes):
        for value in set(hashes[case_id]):
            owners[value].append(case_id)
    pairs = Counter(pair for ids in owners.values() for pair in combinations(ids, 2))
    return tuple(SharedPictures(a, b, n) for (a, b), n in sorted(pairs.items(), key=lambda item: (-item[1], item[0])))


def parts_of_results(masks: Path) -> dict[str, dict[str, tuple[str, ...]]]:
    """Splits of the bundles that made a folder of results, as far as they ship, by bundle name.

    Args:
        masks: folder of results of `cmrseg analyse`, whose ``run.json`` names the bundles and their hashes.
    """
    shipped = bundle.shipped_bundles()
    used: set[tuple[str, str]] = set()
    for path in sorted(masks.glob(f"*/{_RUN}")):
        try:
            made_by = json.loads(path.read_text(encoding="utf-8"))["bundles"]
        except (OSError, UnicodeDecodeError, json.JSONDecodeError, KeyError):
            continue  # whose masks they are is then not known, which is all that can be said
        used |= {(str(one.get("name")), str(one.get("sha256"))) for one in made_by.values()}
    names = sorted({name for name, _ in used} & set(shipped))
    return {name: read_parts(name) for name in names if (name, bundle.load(name).sha256) in used}


@dataclass(frozen=True)
class Leakage:
    """What is known of the patients who trained a method.

    Args:
        sources: splits and bundles that were asked; empty where nobody knows who trained it.
        trained: evaluated patients who trained it.
        chosen: evaluated patients whom it was chosen by: they stand in a part ``validation``.
    """

    sources: tuple[str, ...]
    trained: tuple[str, ...]
    chosen: tuple[str, ...]


def check_leakage(case_ids: Iterable[str], sources: Mapping[str, Parts]) -> Leakage:
    """Look for evaluated patients among those who trained a method, by their ids.

    Args:
        case_ids: evaluated patients.
        sources: splits, by what they are called.

    Returns:
        Each patient once: one who trained does not count as chosen by as well.
    """
    evaluated = set(case_ids)
    trained = {i for parts in sources.values() for i in parts.get("train", ())} & evaluated
    chosen = {i for parts in sources.values() for i in parts.get("validation", ())} & evaluated - trained
    return Leakage(tuple(sources), tuple(sorted(trained)), tuple(sorted(chosen)))


_RUN = "run.json"
