"""Clones of this repository in which a flow is run for a benchmark, the repository left alone."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from bench import ROOT

# A setting in which the default flow lasts a minute or two.
SMALL: dict[str, Any] = {
    "epochs": 1,
    "device": "cpu",
    "split": {"train": 0.05, "val": 0.02, "test": 0.03},
    "backbone": {"patch": 16, "width": 16, "depth": 1, "heads": 2},
    "batch": {"classes": 8, "images": 2},
    "baselines": {"seeds": ["0"]},
    "study": {
        "compare": {"run": {"geometries": ["euclidean", "hyperbolic_free"], "seeds": ["0"]}},
        "tau": {
            "run": {"geometries": ["euclidean", "flat_free"], "seeds": ["0"]},
            "over": {"tau": [0.1, 0.2]},
        },
        "curvature": {"run": {"geometries": ["hyperbolic_free"]}, "over": {"curvature": [0, 1]}},
        "aa": {"run": {"seeds": ["0-5"]}},
    },
    "control": {
        "own": {"tree": {"epochs": 2}, "grid": {"epochs": 2}},
        "parts": {
            "flat": {"run": {"seeds": ["0"]}, "over": {"optim": {"learning_rate": [0.003]}}},
            "curved": {"run": {"seeds": ["0"]}, "over": {"optim": {"learning_rate": [0.003]}}},
            "flat_2d": {"run": {"seeds": ["0"]}},
            "curved_2d": {"run": {"seeds": ["0"]}},
        },
    },
    "tune": {
        "geometries": ["euclidean", "hyperbolic_free"],
        "budget": {"glyphs": {"trials": 2, "folds": 2, "seeds": ["10"], "splits": [1]}},
    },
}
LOCKS = ("dvc.lock", "flows/**/dvc.lock")


def build_clone(folder: Path, settings: Mapping[str, Any]) -> Path:
    """Clone the last commit, without its locks, so that everything runs.

    Args:
        folder: The target folder.
        settings: Laid over params.yaml, and committed.

    Returns:
        The folder. Its .venv is this environment, by links, so that make does not install another.
    """
    subprocess.run(["git", "clone", "--quiet", ROOT, folder], check=True)
    for lock in list_locks(folder):
        lock.unlink()
    yaml = YAML()
    params = yaml.load(folder / "params.yaml")
    lay(params, settings)
    yaml.dump(params, folder / "params.yaml")
    author = ("-c", "user.name=bench", "-c", "user.email=bench@example.org")
    commit = ["commit", "--quiet", "--all", "--message", "without locks"]
    subprocess.run(["git", *author, *commit], cwd=folder, check=True)
    link_environment(folder / ".venv")
    return folder


def link_environment(folder: Path) -> None:
    """Make a folder that stands for this environment; its programs are links of their own."""
    (folder / "bin").mkdir(parents=True)
    environment = Path(sys.prefix)
    for entry in [*environment.iterdir(), *(environment / "bin").iterdir()]:
        if entry.name not in ("bin", "installed"):
            (folder / entry.relative_to(environment)).symlink_to(entry)
    (folder / "installed").touch()  # newer than requirements.txt: nothing to install


def lay(params: Any, settings: Mapping[str, Any]) -> None:
    """Lay nested settings over params, in place."""
    for key, value in settings.items():
        if isinstance(value, Mapping) and key in params:
            lay(params[key], value)
        else:
            params[key] = value


def list_locks(folder: Path) -> list[Path]:
    """List the locks of all flows that are there."""
    return [path for pattern in LOCKS for path in sorted(folder.glob(pattern))]
