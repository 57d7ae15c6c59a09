"""Files that the user names: links are written through, devices and FIFOs are written to, regular files replaced."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from builders import result
from support import error_of

from bench_deepspeed.core.json_files import write_atomically

CSV = ("report", "result.json", "--format", "csv", "--output")
RUN = ("-r", "1", "-m", "2", "--warmups", "0")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    result(processes=1).save(tmp_path / "result.json")
    return tmp_path


@contextlib.contextmanager
def reader(fifo: Path) -> Iterator[list[str]]:
    """Read a FIFO to its end while the block runs; the list holds its text afterwards."""
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(fifo.read_text(encoding="utf-8")), daemon=True)
    thread.start()
    yield found
    thread.join(5)


@contextlib.contextmanager
def terminal() -> Iterator[tuple[int, Path]]:
    """A character device that nobody can replace, whoever runs the tests: its other end, and its path."""
    other, own = os.openpty()
    os.set_blocking(other, False)
    try:
        yield other, Path(os.ttyname(own))
    finally:
        os.close(other)
        os.close(own)


@pytest.mark.parametrize("to", ["file", "below/file", "link-to-file"])
def test_a_link_stays_and_its_target_is_replaced_in_one_step(tmp_path, to):
    (tmp_path / "below").mkdir()
    (tmp_path / "link-to-file").symlink_to("file")
    (tmp_path / "link").symlink_to(to)
    target = Path(os.path.realpath(tmp_path / to))
    target.write_text("old")
    (tmp_path / "kept").hardlink_to(target)
    write_atomically(tmp_path / "link", "new")
    assert (tmp_path / "link").readlink() == Path(to)
    assert not target.is_symlink()
    assert (target.read_text(), (tmp_path / "kept").read_text()) == ("new", "old")
    assert list(tmp_path.rglob(".*")) == []


@pytest.mark.parametrize("to", ["new", "below/new", "link-to-new"])
def test_the_target_of_a_dangling_link_is_made(tmp_path, to):
    (tmp_path / "below").mkdir()
    (tmp_path / "link-to-new").symlink_to("below/new")
    (tmp_path / "link").symlink_to(to)
    write_atomically(tmp_path / "link", "text")
    assert (tmp_path / "link").readlink() == Path(to)
    assert (tmp_path / "link").read_text() == "text"


@pytest.mark.parametrize("by_link", [False, True])
def test_a_fifo_is_written_to_and_stays(tmp_path, by_link):
    fifo, link = tmp_path / "fifo", tmp_path / "link"
    os.mkfifo(fifo)
    link.symlink_to(fifo)
    with reader(fifo) as found:
        write_atomically(link if by_link else fifo, "naïve")
    assert found == ["naïve"]
    assert (fifo.is_fifo(), link.is_symlink()) == (True, True)
    assert sorted(tmp_path.iterdir()) == [fifo, link]


@pytest.mark.parametrize("by_link", [False, True])
def test_a_device_is_written_to_and_stays(tmp_path, by_link):
    with terminal() as (other, device):
        link = tmp_path / "link"
        link.symlink_to(device)
        write_atomically(link if by_link else device, "text\n")
        assert os.read(other, 100) == b"text\r\n"
        assert device.is_char_device()
        assert link.is_symlink()


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_a_replaced_file_keeps_its_mode(tmp_path, mode):
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(mode)
    write_atomically(path, "new")
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("new", mode)


def test_a_replaced_file_keeps_its_owner_where_that_is_allowed(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    owner = (65534, 65534) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
    os.chown(path, *owner)
    write_atomically(path, "new")
    assert (path.stat().st_uid, path.stat().st_gid) == owner


def test_a_new_file_has_the_mode_of_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "file", "new")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


def test_a_read_only_file_is_replaced_by_root_alone(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o444)
    with contextlib.suppress(PermissionError):
        write_atomically(path, "new")
    assert path.read_text() == ("new" if os.geteuid() == 0 else "old")


def test_a_name_may_be_as_long_as_names_can_be(tmp_path):
    path = tmp_path / ("n" * 255)
    write_atomically(path, "one")
    write_atomically(path, "two")
    assert path.read_text() == "two"


def test_output_through_a_link(bench, folder):
    (folder / "link").symlink_to("target")
    assert bench(*CSV, "link").returncode == 0
    assert (folder / "link").readlink() == Path("target")
    assert (folder / "target").read_text().startswith("file,kind,")


def test_output_into_a_fifo(bench, folder):
    os.mkfifo(folder / "fifo")
    with reader(folder / "fifo") as found:
        done = bench(*CSV, "fifo")
    assert (done.returncode, done.stdout) == (0, "wrote fifo\n")
    assert found[0].startswith("file,kind,")
    assert (folder / "fifo").is_fifo()


def test_output_into_standard_output_is_the_text_alone(bench, folder):
    done = bench(*CSV, "/dev/stdout")
    assert (done.returncode, done.stdout) == (0, bench(*CSV[:-1]).stdout)


@pytest.fixture
def places(folder: Path, monkeypatch) -> Iterator[Path]:
    """What cannot be written to: a folder, links that lead nowhere or in a circle, a socket."""
    (folder / "folder").mkdir()
    links = {"loop": "back", "back": "loop", "link-to-folder": "folder", "link-to-nowhere": "no/folder"}
    for link, to in {**links, "link-to-result": "result.json"}.items():
        (folder / link).symlink_to(to)
    monkeypatch.chdir(folder)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        yield folder


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("loop", 3, "cannot write loop: Too many levels of symbolic links"),
        ("folder", 2, "--output folder is a folder: name a file"),
        ("link-to-folder", 2, "--output link-to-folder is a folder: name a file"),
        ("socket", 3, "cannot write socket: No such device or address"),
        ("link-to-nowhere", 3, "cannot write link-to-nowhere: No such file or directory"),
        ("result.json/file", 3, "cannot write result.json/file: Not a directory"),
        ("link-to-result", 2, "it would be lost"),
    ],
)
def test_an_impossible_output_is_one_line(bench, places, name, code, words):
    before = sorted(places.rglob("*"))
    assert words in bench.refusal(code, *CSV, name)
    assert sorted(places.rglob("*")) == before


def test_a_file_that_is_a_loop_of_links_is_one_line(bench, folder):
    (folder / "loop").symlink_to("loop")
    for output in ([], ["--output", "out"]):
        assert "cannot read loop" in bench.refusal(2, "report", "loop", "--format", "csv", *output)


@pytest.mark.parametrize("to", ["old.log", "new.log"])
def test_a_log_is_appended_to_what_a_link_leads_to(bench, tmp_path, to):
    (tmp_path / "old.log").write_text("before\n")
    (tmp_path / "link").symlink_to(to)
    assert bench.fake(*RUN, "-lf", "link").returncode == 0
    assert (tmp_path / "link").readlink() == Path(to)
    text = (tmp_path / to).read_text()
    assert text.startswith("before\n") == (to == "old.log")
    assert "status complete" in text


def test_a_log_may_be_a_fifo(bench, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    with reader(tmp_path / "fifo") as found:
        assert bench.fake(*RUN, "-lf", "fifo").returncode == 0
    assert "status complete" in found[0]
    assert (tmp_path / "fifo").is_fifo()


@pytest.mark.parametrize("name", ["loop", "out", "loop/below.log"])
def test_a_log_that_cannot_be_opened_is_one_line_and_leaves_no_run(bench, tmp_path, name):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "out").mkdir()
    done = bench.fake(*RUN, "-lf", name)
    assert (done.returncode, done.stdout) == (3, "")
    assert error_of(done.stderr).startswith(f"cannot write the log {tmp_path / name} (")
    assert list((tmp_path / "out").rglob("*.json")) == []
