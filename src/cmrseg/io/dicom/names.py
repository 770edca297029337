"""Which names speak of a series, and which of the whole examination.

SeriesDescription says what a series is. ProtocolName says it too on some scanners; on others it is the locked name of
the examination, the same in series of every kind, and then it says nothing of any of them.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from cmrseg.io.dicom.hints import PLANES, hints
from cmrseg.io.dicom.records import Frame, Header
from cmrseg.io.dicom.scan import Scan

#: Kinds of images that no series is at once.
_APART = frozenset(("perfusion", "lge", "flow", "tagging"))


def without_examination_names(scan: Scan) -> Scan:
    """The study without protocol names that are those of the examination.

    Such a name speaks of several kinds of images, or is shared by series that are called or acquired differently.
    """
    kinds: dict[str, set[object]] = defaultdict(set)
    for frame in scan.frames:
        kinds[frame.header.protocol].add(_kind(frame))
    of_examination = {
        name
        for name, different in kinds.items()
        if hints(name) and (len(different) > 1 or len(hints(name) & _APART) > 1)
    }
    if not of_examination:
        return scan
    silent: dict[int, Header] = {}
    for header in scan.headers:
        left = "" if header.protocol in of_examination else header.protocol
        silent[header.number] = header if left == header.protocol else replace(header, protocol=left)
    frames = tuple(replace(frame, header=silent[frame.header.number]) for frame in scan.frames)
    return replace(scan, frames=frames, headers=tuple(silent[header.number] for header in scan.headers))


def _kind(frame: Frame) -> object:
    """What a series is called besides its plane; for one without a telling name how it was acquired."""
    called = hints(frame.header.description) - PLANES
    return called or (frame.inverted, frame.spin_echo)
