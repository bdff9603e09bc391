"""The package: light to import, complete, the same on a GPU; nothing it is given runs as code."""

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import geomix
from geomix.config.read import lay_over, read_yaml, validate
from geomix.errors import InputError
from geomix.geometry.spaces import Space
from geomix.losses.table import Table


def test_importing_it_needs_nothing_of_the_pipeline(tmp_path: Path) -> None:
    code = (
        "import sys, geomix; assert 'torch' not in sys.modules; geomix.nearest; "
        "sys.exit(any(name in sys.modules for name in ('dvc', 'requests', 'timm', 'matplotlib')))"
    )
    source = str(Path(geomix.__file__).parents[1])
    environment = {"PYTHONPATH": source}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env=environment)


@pytest.mark.parametrize("name", geomix.__all__)
def test_everything_it_lists_is_there(name: str) -> None:
    assert getattr(geomix, name).__name__ == name


def test_what_it_does_not_list_is_refused() -> None:
    with pytest.raises(AttributeError, match="module 'geomix' has no attribute 'round'"):
        _ = geomix.round


@pytest.mark.cuda
@pytest.mark.parametrize(
    "space",
    [
        geomix.Sphere(),
        geomix.Flat(1.0, 2.3),
        geomix.Ball(0.5, 1.0, 2.3),
        geomix.Inner(0.5, None),
        geomix.Power(0.5, 2.3),
    ],
)
def test_logits_losses_and_gradients_are_those_of_the_cpu(space: Space) -> None:
    features = torch.randn(48, 16, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(24).repeat(2)
    batch = Table(torch.arange(48), labels, torch.arange(2).repeat_interleave(24))
    found = []
    for device in ("cpu", "cuda"):
        geometry = geomix.Geometry([space], [1.0], 0.1).to(device)
        given = features.to(device).requires_grad_()
        points = geometry.place(given)
        logits = geometry.logits(points, points)
        loss = geomix.pairwise_cross_entropy(logits, batch.to(given.device), batch.to(given.device))
        loss.backward()
        assert given.grad is not None
        found.append((logits.detach().cpu(), loss.detach().cpu(), given.grad.cpu()))
    for ours, expected in zip(found[1], found[0], strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.cuda
def test_lists_are_those_of_the_cpu() -> None:
    features = torch.randn(700, 32, generator=torch.Generator().manual_seed(1)).double()
    geometry = geomix.Geometry([geomix.Ball(0.5, 1.0, 2.3)], [1.0], 1.0)
    on_cpu = geomix.nearest(features, features, geometry, 20)
    on_gpu = geomix.nearest(features.cuda(), features.cuda(), geometry.cuda(), 20)
    assert (on_cpu == on_gpu).all()


ROOT = Path(__file__).resolve().parent.parent
CODE = [path for room in ("src", "stages", "bench") for path in sorted((ROOT / room).rglob("*.py"))]
# They run what they are given, or build objects of any class from a file.
RUNS_CODE = {"eval", "exec", "compile", "os.system", "os.popen", "pty.spawn"}
UNPICKLES = {"marshal", "shelve", "dill", "cloudpickle", "joblib"}


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_and_no_parameter_is_run_as_code(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        for name in imported(node):
            assert name.split(".")[0] not in UNPICKLES, name
            # only its error, which torch.load raises where a file needs code
            assert name != "pickle" or set(re.findall(r"\bpickle\.(\w+)", path.read_text())) == {
                "UnpicklingError"
            }
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            given = {word.arg: ast.unparse(word.value) for word in node.keywords}
            assert name not in RUNS_CODE
            assert given.get("shell", "False") == "False"
            assert given.get("allow_pickle", "False") == "False"
            assert name != "np.load" or "allow_pickle" in given
            assert name != "torch.load" or given.get("weights_only") == "True"
            assert given.get("typ") in (None, "'safe'", "'rt'"), "YAML builds objects"


def imported(node: ast.AST) -> list[str]:
    """Return the modules that a node imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []


# Each kind of value that dvc.yaml or the Makefile puts on a command line.
@pytest.mark.parametrize(
    "changes",
    [
        {"dataset": "glyphs; echo"},
        {"tau": "0.1; echo"},
        {"study": {"tau": {"over": {"tau": ["0.1; echo"]}}}},
        {"study": {"tau": {"pinned": {"lam": "1; echo"}}}},
        {"study": {"tau": {"pinned": {"lam 1; echo": 1}}}},
        {"study": {"tau": {"run": {"geometries": ["dot; echo"]}}}},
        {"study": {"tau": {"run": {"seeds": ["0; echo"]}}}},
        {"study": {"tau; echo": {"run": {"geometries": ["dot"], "seeds": ["0"]}}}},
        {"kernel": {"over": {"head": {"norm": ["none; echo"]}}}},
        {"tune": {"of": {"sets": ["glyphs; echo"]}}},
        {"systems": {"names": ["hcl; echo"]}},
        {"negatives": {"rule": "hard; echo"}},
    ],
    ids=str,
)
def test_no_value_that_reaches_a_command_line_holds_more_than_a_word(
    changes: dict[str, Any],
) -> None:
    params = lay_over(read_yaml(ROOT / "params.yaml"), changes)
    with pytest.raises(InputError, match="; echo|lam 1"):
        validate(params)
