"""Output folders appear whole or not at all, and never in the place of something cmrseg did not write."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from cmrseg.errors import InputRefused, OutputError
from cmrseg.io.files import MARKER, STALE_SECONDS, output_folder, sha256_of


def test_sha256(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc" * 100_000)
    assert sha256_of(tmp_path / "a") == hashlib.sha256(b"abc" * 100_000).hexdigest()
    with pytest.raises(InputRefused) as caught:
        sha256_of(tmp_path / "none")
    assert caught.value.code == "unreadable"


def test_the_folder_appears_at_the_end_with_its_parents(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b"
    with output_folder(target) as folder:
        (folder / "sub").mkdir()
        (folder / "sub" / "x").write_text("x")
        assert not target.exists()
    assert (target / "sub" / "x").read_text() == "x"
    assert list(target.parent.iterdir()) == [target]
    assert target.stat().st_mode & 0o777 == 0o777 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize("error", [RuntimeError("x"), KeyboardInterrupt(), SystemExit(3)])
def test_nothing_is_left_when_the_block_raises(tmp_path: Path, error: BaseException) -> None:
    def write_half() -> None:
        with output_folder(tmp_path / "out") as folder:
            (folder / "half").write_text("x")
            raise error

    with pytest.raises(type(error)):
        write_half()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="No space left"), output_folder(tmp_path / "out"):
        raise OSError(28, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_existing_results_are_kept_or_replaced_whole(tmp_path: Path) -> None:
    target = tmp_path / "out"
    for name, replace in (("first", False), ("second", True)):
        with output_folder(target, replace=replace) as folder:
            (folder / MARKER).write_text(name)
            (folder / name).write_text("x")
    assert sorted(p.name for p in target.iterdir()) == sorted([MARKER, "second"])
    with pytest.raises(OutputError, match="already exists"), output_folder(target):
        pytest.fail("the block must not run")
    with pytest.raises(ZeroDivisionError), output_folder(target, replace=True):
        raise ZeroDivisionError
    assert (target / MARKER).read_text() == "second"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_somebody_else_made_is_never_replaced(tmp_path: Path) -> None:
    target = tmp_path / "patient001"
    target.mkdir()
    (target / "scan.dcm").write_text("precious")
    with pytest.raises(OutputError, match="not written by cmrseg"), output_folder(target, replace=True):
        pytest.fail("the block must not run")
    assert (target / "scan.dcm").read_text() == "precious"
    (tmp_path / "file").write_text("precious")
    with pytest.raises(OutputError), output_folder(tmp_path / "file", replace=True):
        pytest.fail("the block must not run")


def test_an_empty_folder_counts_as_none(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with output_folder(tmp_path / "out") as folder:
        (folder / "x").write_text("x")
    assert [p.name for p in tmp_path.rglob("*")] == ["out", "x"]


def test_a_target_that_appears_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    target = tmp_path / "out"

    def write_while_another_does() -> None:
        with output_folder(target) as folder:
            (folder / "x").write_text("mine")
            target.mkdir()
            (target / "x").write_text("theirs")

    with pytest.raises(OutputError, match="already exists"):
        write_while_another_does()
    assert (target / "x").read_text() == "theirs"
    assert list(tmp_path.iterdir()) == [target]


def test_leftovers_are_swept_after_a_day_and_nothing_else(tmp_path: Path) -> None:
    names = {
        "old": f".x.partial-{'0' * 16}",
        "older": f".x.replaced-{'1' * 16}",
        "fresh": f".x.partial-{'2' * 16}",
        "users": ".x.partial-mine",
        "plain": "x.partial",
    }
    for key, name in names.items():
        (tmp_path / name).mkdir()
        if key != "fresh":
            past = time.time() - STALE_SECONDS - 60
            os.utime(tmp_path / name, (past, past))
    with output_folder(tmp_path / "out") as folder:
        (folder / "x").write_text("x")
    assert {p.name for p in tmp_path.iterdir()} == {"out", names["fresh"], names["users"], names["plain"]}


def test_a_killed_run_leaves_no_result(tmp_path: Path) -> None:
    code = """
        import os, signal, sys
        from pathlib import Path
        from cmrseg.io.files import output_folder
        with output_folder(Path(sys.argv[1])) as folder:
            (folder / "half").write_text("x")
            os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "out")], check=False)
    assert done.returncode == -9
    assert not (tmp_path / "out").exists()
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".out.partial-")
