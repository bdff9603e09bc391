"""The formulas we compare with equal arrays that the released code wrote, to 1e-12."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from bench import released

REFERENCE = np.load(Path(__file__).parent.parent / "reference" / "released_code.npz")
SYSTEMS = [key for key in REFERENCE.files if key.startswith(("hypvit/", "hypmix/"))]
SETTINGS = sorted({key.rsplit("/", 1)[0] for key in SYSTEMS})
POINTS = [key for key in REFERENCE.files if key.startswith("poincare/")]
CURVATURES = sorted({float(key.split("/")[1][2:]) for key in POINTS})


def array(key: str) -> Tensor:
    return torch.from_numpy(REFERENCE[key])


def numbers(setting: str) -> dict[str, float]:
    pairs = (pair.split("=") for pair in setting.split("/")[-1].split(","))
    return {key: float(value) for key, value in pairs}


def system(setting: str) -> released.System:
    values = numbers(setting)
    if setting.startswith("hypvit/sphere"):
        return released.sphere(values["tau"])
    if setting.startswith("hypvit"):
        return released.ball(values["tau"], values["c"], 2.3)
    return released.hybrid(
        values["tau_e"], values["tau_h"], values["lam"], values["c"], 2.3, unit=True
    )


@pytest.mark.parametrize("c", CURVATURES)
def test_points_and_distances_equal_the_released_ones(c: float) -> None:
    group = f"poincare/c={c:g}" if f"poincare/c={c:g}/x" in REFERENCE.files else f"poincare/c={c}"
    x, y = (released.expmap0(array(f"{group}/tangent_{name}"), c) for name in "xy")
    torch.testing.assert_close(x, array(f"{group}/x"), rtol=1e-12, atol=1e-14)
    distances = released.distances(x, y, c)
    torch.testing.assert_close(distances, array(f"{group}/dist"), rtol=1e-12, atol=0)


def test_the_clip_equals_the_released_one() -> None:
    clipped = released.expmap0(released.clip(array("clip/tangent"), 2.3), 0.1)
    torch.testing.assert_close(clipped, array("clip/clip_r=2.3,c=0.1"), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("setting", SETTINGS)
def test_losses_and_gradients_equal_the_released_ones(setting: str) -> None:
    output = array(f"{setting}/head_output").requires_grad_()  # class, view, dimension
    loss = released.summed_loss(output.transpose(0, 1), system(setting))
    (gradient,) = torch.autograd.grad(loss, output)
    assert loss.item() == pytest.approx(float(REFERENCE[f"{setting}/loss_sum"]), rel=1e-12)
    expected = array(f"{setting}/grad")
    torch.testing.assert_close(gradient, expected, rtol=0, atol=1e-12 * float(expected.abs().max()))


def test_every_system_has_arrays() -> None:
    kinds = {"/".join(setting.split("/")[:-1]) for setting in SETTINGS}
    assert kinds == {"hypvit/sphere", "hypvit/hyperbolic", "hypmix"}


def test_points_are_projected_and_distances_saturate_as_released() -> None:
    c = 4.0
    v = torch.tensor([[30.0, 0.0], [0.0, -50.0]], dtype=torch.float64)
    x = released.expmap0(v, c)
    torch.testing.assert_close(x.norm(dim=1), torch.full((2,), 0.999 / 2, dtype=torch.float64))
    furthest = 2 / 2 * np.arctanh(1 - 1e-5)
    assert released.distances(x[:1], -x[:1], c).item() == pytest.approx(furthest, rel=1e-12)


def test_rows_one_by_one_are_the_nearest_others() -> None:
    points = released.expmap0(torch.randn(30, 5, generator=torch.Generator().manual_seed(0)), 0.1)
    found = released.rank_row_by_row(points, 0.1, 4, rows=7)
    distances = released.distances(points, points, 0.1).fill_diagonal_(torch.inf)
    assert found.tolist() == distances.argsort(1)[:7, :4].tolist()


def test_the_flat_loop_is_the_limit_of_the_ball() -> None:
    random = torch.Generator().manual_seed(0)
    embeddings = torch.randn(3, 4, 6, generator=random, dtype=torch.float64)
    systems = released.flat(0.2, 2.3), released.ball(0.2, 1e-6, 2.3)
    flat, ball = (released.summed_loss(embeddings, system) for system in systems)
    assert flat.item() == pytest.approx(ball.item(), rel=1e-4)
