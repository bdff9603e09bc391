"""The package as a library: light to import, complete, typed; on a GPU the same numbers."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import geomix
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
def test_logits_losses_and_gradients_are_those_of_the_cpu(space: torch.nn.Module) -> None:
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
