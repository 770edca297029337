"""Which files are of one examination: by StudyInstanceUID, FrameOfReferenceUID and date, those that are there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import date

from cmrseg.io.dicom.records import Header

#: An examination may run past midnight.
MAX_DAYS = 1


def same_examination(first: Header, second: Header) -> bool:
    """True unless two files contradict each other; what is missing contradicts nothing.

    Days decide first. Archives split an examination into two study identifiers; its frame of reference, which no other
    one shares, holds it together then.
    """
    if first.study_day and second.study_day and abs(first.study_day - second.study_day) > MAX_DAYS:
        return False
    if not first.study_uid or not second.study_uid or first.study_uid == second.study_uid:
        return True
    return bool(first.frame_of_reference) and first.frame_of_reference == second.frame_of_reference


def day_of(headers: Iterable[Header]) -> str:
    """The first day of some files, as ``2000-01-01``; ``an unknown day`` where none carries a date."""
    days = [header.study_day for header in headers if header.study_day]
    return date.fromordinal(min(days)).isoformat() if days else "an unknown day"


def examinations(headers: Iterable[Header]) -> list[list[Header]]:
    """Files by examination, the earliest first; what contradicts nothing goes to the first that it fits."""
    alike: dict[tuple[object, ...], list[Header]] = defaultdict(list)
    for header in sorted(headers, key=lambda h: (h.study_day, h.number)):
        alike[header.study_day, header.study_uid, header.frame_of_reference].append(header)
    found: list[list[list[Header]]] = []
    for group in alike.values():
        own = next((known for known in found if all(same_examination(group[0], other[0]) for other in known)), None)
        if own is None:
            found.append([group])
        else:
            own.append(group)
    return [[header for group in groups for header in group] for groups in found]
