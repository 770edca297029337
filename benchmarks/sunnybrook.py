"""One whole DICOM study of another scanner: time, memory, and Dice of the LV cavity against expert contours.

    python benchmarks/sunnybrook.py DATA/sunnybrook/SCD0000101

Sunnybrook Cardiac Data (Radau et al. 2009, CC0): `K.dcm` belongs to the contour files ``IM-0001-<K>-icontour-*``,
polygons of the endocardium in pixel coordinates.
"""

from __future__ import annotations

import json
import re
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image as Picture
from PIL import ImageDraw

from cmrseg.evaluate.metrics import dice
from cmrseg.labels import CINE
from cmrseg.pipeline.analyse import Analyser
from cmrseg.pipeline.write import write
from cmrseg.study import Part


def expert_masks(study: Path, part: Part) -> dict[tuple[int, int], NDArray[np.bool_]]:
    """Expert LV cavity masks by (frame, slice) of the analysed image."""
    geometry = part.image.geometry
    headers = [pydicom.dcmread(p, stop_before_pixels=True) for p in sorted((study / "dicom").glob("*.dcm"))]
    slices = {p.InstanceNumber: round(float(geometry.to_index(p.ImagePositionPatient)[2])) for p in headers}
    times: dict[int, list[float]] = {}
    for header in headers:
        times.setdefault(slices[header.InstanceNumber], []).append(float(header.TriggerTime))
    by_file = {
        int(p.stem): pydicom.dcmread(p, stop_before_pixels=True) for p in sorted((study / "dicom").glob("*.dcm"))
    }
    masks = {}
    for path in sorted((study / "contours").rglob("*icontour*.txt")):
        match = re.search(r"IM-0001-(\d+)-icontour", path.name)
        if match is None or int(match[1]) not in by_file:
            continue
        header = by_file[int(match[1])]
        place = slices[header.InstanceNumber]
        frame = sorted(times[place]).index(float(header.TriggerTime))
        masks[frame, place] = polygon_mask(np.loadtxt(path), (header.Rows, header.Columns))
    return masks


def polygon_mask(points_xy: NDArray[np.float64], shape_yx: tuple[int, int], zoom: int = 8) -> NDArray[np.bool_]:
    """Pixels of which at least half lie in a polygon given in pixel coordinates (first pixel's corner at 0.5)."""
    picture = Picture.new("1", (shape_yx[1] * zoom, shape_yx[0] * zoom))
    ImageDraw.Draw(picture).polygon([tuple(p) for p in (points_xy - 0.5) * zoom], fill=1)
    fine = np.asarray(picture).reshape(shape_yx[0], zoom, shape_yx[1], zoom)
    covered: NDArray[np.bool_] = fine.mean(axis=(1, 3)) >= 0.5
    return covered


def main(study: Path) -> None:
    """Measure and print as JSON."""
    began = time.perf_counter()
    analyser = Analyser()
    analysis = analyser(study / "dicom")
    with tempfile.TemporaryDirectory() as scratch:
        write(analysis, Path(scratch))
    seconds = time.perf_counter() - began
    part = analysis.parts[0]
    cavity = part.segmentation.labels == CINE["lv_cavity"]
    masks = expert_masks(study, part)
    per_slice = [dice(cavity[place], mask) for place, mask in masks.items()]
    drawn = np.stack(list(masks.values()))
    found = np.stack([cavity[place] for place in masks])
    result = {
        "bundle": analyser.bundles["cine"].version,
        "members": analyser.bundles["cine"].manifest["networks"]["segmenter"]["members"],
        "n_contours": len(masks),
        "lv_cavity_dice_all_contoured_pixels": round(dice(found, drawn), 4),
        "lv_cavity_dice_mean_over_contours": round(float(np.mean(per_slice)), 4),
        "lv_cavity_dice_worst_contour": round(min(per_slice), 4),
        "seconds_import_excluded": round(seconds, 2),
        "seconds_loading_networks": analysis.run["timings_s"]["load"],
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "timings_s": analysis.run["timings_s"],
    }
    sys.stdout.write(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
