"""Output folders appear whole or not at all, and never in the place of something cmrseg did not write."""

from __future__ import annotations

import ast
import hashlib
import os
import re
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

import cmrseg
from cmrseg.errors import InputRefused, OutputError
from cmrseg.io.files import (
    MARKER,
    STALE_SECONDS,
    output_file,
    output_folder,
    refuse_unwritable,
    sha256_of,
    write_text,
)


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


def test_leftover_files_are_swept_too(tmp_path: Path) -> None:
    left = tmp_path / f".cmrseg.partial-{'a' * 16}.csv"
    left.write_text("half")
    os.utime(left, (1, 1))
    with output_folder(tmp_path / "out"):
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("error", [RuntimeError("x"), KeyboardInterrupt(), MemoryError()])
def test_a_file_appears_whole_or_not_at_all(tmp_path: Path, error: BaseException) -> None:
    target = tmp_path / "a" / "table.csv"

    def write(content: str, then: BaseException | None) -> None:
        with output_file(target) as partial:
            assert partial.suffix == ".csv"
            partial.write_text(content)
            if then:
                raise then

    with pytest.raises(type(error)):
        write("half", error)
    assert list(target.parent.iterdir()) == []
    write("whole", None)
    with pytest.raises(type(error)):
        write("half", error)
    assert target.read_text() == "whole"
    assert list(target.parent.iterdir()) == [target]


def test_a_full_disk_leaves_no_part_of_a_file(tmp_path: Path) -> None:
    def fill() -> None:
        with output_file(tmp_path / "m.json") as partial:
            partial.write_text("half")
            raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match=r"m\.json could not be written \(No space left"):
        fill()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="names are not bytes there")
@pytest.mark.parametrize("length", [229, 230, 255])
def test_names_as_long_as_the_disk_allows_are_written(tmp_path: Path, length: int) -> None:
    with output_folder(tmp_path / ("n" * length)) as folder:
        (folder / "x").write_text("x")
    with output_file(tmp_path / ("f" * (length - 4) + ".csv")) as partial:
        partial.write_text("x")
    assert {len(p.name) for p in tmp_path.iterdir()} == {length}


def test_bytes_that_are_no_text_are_written_as_escapes(tmp_path: Path) -> None:
    write_text(tmp_path / "t.txt", "M\udcfcller \ud800\n")
    assert (tmp_path / "t.txt").read_bytes() == b"M\\xfcller \\ud800\n"


def test_an_output_that_cannot_be_is_known_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("precious")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere" / "x")
    for target in ("file/study", "file/deeper/study", "dangling/study"):
        with pytest.raises(OutputError, match="is no folder"):
            refuse_unwritable(tmp_path / target)
    with pytest.raises(OutputError, match="longer than the 255 bytes"):
        refuse_unwritable(tmp_path / "missing" / ("ü" * 128))
    with pytest.raises(OutputError, match="longer than the 4096 bytes"):
        refuse_unwritable(tmp_path.joinpath(*["d" * 200] * 21), "x")
    refuse_unwritable(tmp_path / "new" / "study")
    assert {p.name for p in tmp_path.iterdir()} == {"file", "dangling"}

    def read_only(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", read_only)
    with pytest.raises(OutputError, match="Read-only file system"):
        refuse_unwritable(tmp_path / "new" / "study")


def test_a_folder_in_the_place_of_a_file_is_known_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "t.csv").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        refuse_unwritable(tmp_path / "t.csv", file=True)
    refuse_unwritable(tmp_path / "t.csv")


def test_text_is_read_and_written_in_one_encoding_whatever_the_system_prefers() -> None:
    room = Path(cmrseg.__file__).parent
    guilty = []
    for path in room.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            called = node.func.attr
            plain = called in ("read_text", "write_text") or (
                called == "open"
                and ast.unparse(node.func.value) not in ("os", "webbrowser")
                and "b" not in ast.unparse(node.args[0] if node.args else ast.Constant("r"))
            )
            told = any(k.arg == "encoding" for k in node.keywords) or (called == "read_text" and node.args)
            if plain and not told:
                guilty.append(f"{path.relative_to(room).as_posix()}:{node.lineno}")
    assert not guilty


def test_every_file_that_is_renamed_into_place_goes_through_here() -> None:
    """A second way to do it is a second way to leave half a file behind."""
    room = Path(cmrseg.__file__).parent
    guilty = [
        path.relative_to(room).as_posix()
        for path in room.rglob("*.py")
        if re.search(r"\.partial[\"']|os\.replace\(", path.read_text("utf-8"))
    ]
    assert guilty == ["train/tune/objective.py"], "that one is a folder of links that a killed study goes on from"


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
    assert left.name.startswith(".cmrseg.partial-")
