"""The benchmark of the images runs in small, and weighs a process with all below it."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench import images
from bench.measure import Options, measure_case


def test_batches_are_timed_beside_torchvision(tmp_path: Path) -> None:
    (case,) = images.cases(quick=True)
    rows = measure_case("images", case, Options(True, tmp_path, 1, 0.01))
    assert [(row["implementation"], row["baseline"]) for row in rows] == [
        ("torchvision", "geomix encoded"),
        ("torchvision", "geomix decoded"),
    ]
    assert all(row["ratio"] > 0 and row["n"] == 16 for row in rows)


def test_photographs_have_the_size_of_photographs() -> None:
    sizes = [path.stat().st_size for path in images.draw_photographs(8).iterdir()]
    assert len(sizes) == 8
    assert min(sizes) > 60_000
    assert max(sizes) < 100_000


def test_packing_is_weighed_with_its_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def read(process: int) -> int:
        seen.append(process)
        return 2**20

    monkeypatch.setattr(images, "read_proportional", read)
    monkeypatch.setattr(images, "PAUSE", 0.02)
    child = f"[{sys.executable!r}, '-c', 'import time; time.sleep(0.3)']"
    program = f"import subprocess; subprocess.run({child}); print(1.5)"
    assert images.weigh_program(program, []) == (1.5, 2.0)
    assert len(set(seen)) == 2


def test_a_program_that_fails_is_not_weighed() -> None:
    with pytest.raises(subprocess.CalledProcessError):
        images.weigh_program("raise SystemExit(3)", [])
