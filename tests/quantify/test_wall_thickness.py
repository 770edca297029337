import numpy as np
import pytest

from cmrseg.quantify.borders import find_borders, is_closed_ring
from cmrseg.quantify.wall_thickness import local_thickness_mm, thickest_mm


def grid(spacing, size_mm=110.0):
    columns, rows = (int(size_mm / s) for s in spacing)
    y, x = np.mgrid[:rows, :columns]
    return x * spacing[0] - size_mm / 2, y * spacing[1] - size_mm / 2


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (1.5, 1.5), (1.2, 1.8)])
@pytest.mark.parametrize(("endo", "epi"), [(20.0, 30.0), (25.0, 31.0), (8.0, 15.0), (32.0, 37.0)])
def test_circular_ring(spacing, endo, epi):
    x, y = grid(spacing)
    radius = np.hypot(x - 0.37, y + 0.61)
    thickness = local_thickness_mm(find_borders((radius >= endo) & (radius < epi), radius < endo, spacing))
    assert thickness.mean() == pytest.approx(epi - endo, abs=0.15 * max(spacing))
    assert np.abs(thickness - (epi - endo)).max() < max(spacing)
    assert thickest_mm(thickness) == pytest.approx(epi - endo, abs=0.6 * max(spacing))


@pytest.mark.parametrize("direction", [0.3, 1.1, 2.9, 4.0])
def test_cavity_off_the_centre(direction):
    """Circles of 18 and 27 mm whose centres lie 3 mm apart: 6 mm thin on one side, 12 mm on the other."""
    spacing = (1.25, 1.25)
    x, y = grid(spacing)
    cavity = np.hypot(x - 3 * np.cos(direction), y + 3 * np.sin(direction)) < 18
    epicardium = np.hypot(x, y) < 27
    borders = find_borders(epicardium & ~cavity, cavity, spacing)
    thickness = local_thickness_mm(borders)
    thin, thick = (
        np.abs(np.angle(np.exp(1j * (borders.angles - side)))) < 0.3 for side in (direction, direction + np.pi)
    )
    assert thickness[thin].mean() == pytest.approx(6.0, abs=0.4)
    assert thickness[thick].mean() == pytest.approx(12.0, abs=0.4)
    assert thickest_mm(thickness) == pytest.approx(12.0, abs=0.6)


def test_oval_wall_of_even_thickness_is_not_measured_aslant():
    """An ellipse of 32 x 18 mm with every point within 8 mm outside it: 8 mm everywhere across the wall."""
    spacing = (1.0, 1.0)
    x, y = grid(spacing)
    turn = np.linspace(0, 2 * np.pi, 720)
    outline = np.stack([32 * np.cos(turn), 18 * np.sin(turn)])
    distance = np.sqrt(((x[..., None] - outline[0]) ** 2 + (y[..., None] - outline[1]) ** 2).min(axis=-1))
    cavity = (x / 32) ** 2 + (y / 18) ** 2 < 1
    borders = find_borders(~cavity & (distance < 8), cavity, spacing)
    thickness = local_thickness_mm(borders)
    assert thickness.mean() == pytest.approx(8.0, abs=0.1)
    assert np.abs(thickness - 8.0).max() < 0.7
    along_rays = borders.epi_mm - borders.endo_mm
    assert along_rays.max() > 9.0  # what a ray from the centre would have said


def test_mirrored_view_runs_the_other_way_round():
    spacing = (1.25, 1.25)
    x, y = grid(spacing)
    cavity, epicardium = np.hypot(x - 3, y + 2) < 18, np.hypot(x, y) < 27
    seen = local_thickness_mm(find_borders(epicardium & ~cavity, cavity, spacing))
    flipped = local_thickness_mm(find_borders((epicardium & ~cavity)[:, ::-1], cavity[:, ::-1], spacing, mirrored=True))
    assert flipped == pytest.approx(seen, abs=1e-6)


def test_no_border_without_a_cavity():
    empty = np.zeros((20, 20), bool)
    dot = empty.copy()
    dot[10, 10] = True
    assert find_borders(empty, empty, (1.0, 1.0)) is None
    assert find_borders(~dot, dot, (1.0, 1.0)) is None


def test_a_gap_in_the_muscle_opens_the_ring():
    x, y = grid((1.5, 1.5))
    radius = np.hypot(x, y)
    muscle, cavity = (radius >= 20) & (radius < 28), radius < 20
    assert is_closed_ring(muscle, cavity)
    open_muscle = muscle & ~((x > 0) & (np.abs(y) < 5))
    assert not is_closed_ring(open_muscle, cavity)
    assert not is_closed_ring(np.zeros_like(muscle), cavity)
    assert not is_closed_ring(muscle, np.zeros_like(cavity))
