"""An analyser that knows the phantom's true masks, so that tests of commands wait for no network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cmrseg.io.nifti import read_labels
from cmrseg.labels import CINE
from cmrseg.phantom import Phantom, write_masks, write_nifti
from cmrseg.pipeline.analyse import AnalyseOptions, Analyser, _ChosenBundles
from cmrseg.pipeline.assess import assess
from cmrseg.pipeline.record import Clock
from cmrseg.study import Analysis, Segmentation, Study


class StubAnalyser(Analyser):
    """Reads as any other, and takes masks that `write_studies` left beside the study."""

    masks: Path
    trouble: Callable[[Study], None] = staticmethod(lambda study: None)

    def __init__(self, options: AnalyseOptions | None = None) -> None:
        self.options = options or AnalyseOptions()
        self.bundles = _ChosenBundles(self.options)

    def analyse(self, study: Study, clock: Clock | None = None) -> Analysis:
        """The true masks, measured; whatever `trouble` raises over this study comes first."""
        type(self).trouble(study)
        image = study.images[0]
        labels, _ = read_labels(self.masks, CINE)
        segmentation = Segmentation(labels, CINE, image.geometry, image.frame_times_ms, method="true masks")
        networks = {"bundles": {}, "runtime": "true masks"}
        return assess(study, [(image, segmentation)], clock or Clock(), networks, {}, self.fingerprint(study))


def write_studies(phantom: Phantom, folder: Path, *names: str) -> list[Path]:
    """The phantom as NIfTI files of these paths below a folder; its masks are what `StubAnalyser` takes."""
    StubAnalyser.masks = folder / "true_masks.nii.gz"
    folder.mkdir(parents=True, exist_ok=True)
    write_masks(phantom, StubAnalyser.masks)
    paths = [folder / f"{name}.nii.gz" for name in names]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_nifti(phantom, path)
    return paths
