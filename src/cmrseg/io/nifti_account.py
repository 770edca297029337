"""What became of every file of a study that is not DICOM."""

from __future__ import annotations

from pathlib import Path

from cmrseg.io.nifti import is_nifti
from cmrseg.io.walk import files_below
from cmrseg.study import FileGroup, Study


def account(path: Path, study: Study | None) -> tuple[FileGroup, ...]:
    """Every file at a path once, by what became of it.

    Args:
        path: the study's folder or file.
        study: what was read there; None when it was refused, and no file was used.
    """
    if path.is_dir():
        names = [file.relative_to(path).as_posix() for file in files_below(path)]
    else:
        # A header and its pixels are two files, of which one was given.
        names = sorted({path.name, *(study.inputs if study else ())})
    images = study.images if study else ()
    used = tuple(name for name in names if study and name in study.inputs)
    rest = [name for name in names if name not in used]
    others = tuple(name for name in rest if is_nifti(Path(name)))
    groups = (
        FileGroup(
            fate="used",
            kind=images[0].kind if len(images) == 1 else None,
            reason=" and ".join(image.kind for image in images) + ", or what the data set says of it",
            files=used,
            n_images=sum(image.n_frames * image.n_slices for image in images),
        ),
        FileGroup(fate="not used", kind=None, reason="masks, or an image beside those taken", files=others, n_images=0),
        FileGroup(
            fate="no image",
            kind=None,
            reason="no NIfTI file",
            files=tuple(name for name in rest if not is_nifti(Path(name))),
            n_images=0,
        ),
    )
    return tuple(group for group in groups if group.files)
