"""What a phantom is made of: sizes, motion, the grid it is seen on, and how the scanner spoils the picture."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from cmrseg.study import Patient

#: Density of heart muscle (Myerson et al., Hypertension 2002;39:750).
MYOCARDIUM_G_PER_ML = 1.05


@dataclass(frozen=True)
class HeartSpec:
    """A beating heart and the short-axis cine taken of it. The defaults are a healthy adult.

    Heart coordinates: u from septum to lateral wall, v from anterior to inferior wall, w from apex to base; w = 0 is
    the base plane of the LV at end-diastole. All sizes in mm. "ED" is end-diastole, "ES" end-systole.
    """

    lv_radii_ed_mm: tuple[float, float] = (27.5, 26.5)
    """Semi-axes of the LV endocardium at its widest level along u and v, at ED."""
    lv_radii_es_mm: tuple[float, float] = (19.2, 18.2)
    """The same at ES."""
    lv_length_mm: float = 82.0
    """From the LV base plane to the endocardial apex at ED."""
    lv_wall_ed_mm: float = 9.0
    """Wall thickness at ED at the widest level. Later phases follow from the constant volume of the muscle."""
    apex_wall_ratio: float = 0.6
    """Wall thickness at the apex over that at the widest level."""
    base_above_widest: float = 0.25
    """Height of the base plane over the widest level, as a fraction of the long semi-axis; 0 is half an ellipsoid."""
    lv_base_descent_mm: float = 10.0
    """How far the LV base plane comes down from ED to ES; the epicardial apex stays."""
    rv_radii_ed_mm: tuple[float, float] = (41.0, 43.0)
    """Semi-axes of the RV's ellipsoid at its widest level along u and v, at ED. The LV is cut out of it."""
    rv_radii_es_mm: tuple[float, float] = (29.5, 34.2)
    """The same at ES."""
    rv_length_mm: float = 80.0
    """From the RV base plane (that of the LV at ED) to the RV apex at ED; the apex stays."""
    rv_base_descent_mm: float = 10.0
    """How far the RV base plane comes down from ED to ES; not less than that of the LV."""
    rv_offset_mm: tuple[float, float] = (31.0, 15.0)
    """How far the RV's axis lies on the septal side of the LV's, at the base and at the RV apex."""
    rv_anterior_mm: float = 4.0
    """How far the RV's axis lies on the anterior side of the LV's."""

    phases: int = 20
    """Frames of one heart beat, equally spaced in time."""
    heart_rate_bpm: float = 66.0
    """Beats per minute; one beat fills all frames."""
    ed_frame: int = 0
    """Frame at ED, counted from 0; the cine is retrospectively gated and may start anywhere in the beat."""
    systole_fraction: float = 0.35
    """Time from ED to ES as a fraction of the beat; ES falls on the nearest frame."""

    slices: int = 11
    """Number of short-axis slices."""
    slice_distance_mm: float = 10.0
    """Distance of neighbouring slice centres."""
    slice_thickness_mm: float = 8.0
    """Thickness of tissue averaged in one slice; the rest of the distance is gap."""
    slices_above_base: int = 1
    """Slices whose centre lies above the LV base plane at ED; that plane falls midway between two slice centres."""
    stack_shift_mm: float = 0.0
    """Moves all slice centres along w, off that alignment."""
    pixel_spacing_xy_mm: tuple[float, float] = (1.4, 1.4)
    """Distance of neighbouring columns (along x) and rows (along y)."""
    shape_xy: tuple[int, int] = (192, 192)
    """Columns and rows."""
    lv_in_image_xy: tuple[float, float] = (0.5, 0.5)
    """Where the LV's axis meets the picture, as a fraction of its width and height."""
    normal_lps: tuple[float, float, float] = (-0.6, 0.6, 0.53)
    """x direction times y direction of the picture, any length. The default, from apex to base, is the usual view."""
    in_plane_rotation_degrees: float = 0.0
    """Turns the picture's axes about the normal, from x towards y. At 0, y points as far down the body as it can."""
    base_first: bool = True
    """Whether slice 0 is the most basal one."""
    direction_lps: tuple[tuple[float, float, float], ...] | None = None
    """Unit directions of x, y and the slice step in LPS, as three vectors; replaces the three fields above."""
    lv_base_centre_lps_mm: tuple[float, float, float] = (25.0, 0.0, 20.0)
    """Where in the patient the LV's axis meets its base plane at ED."""

    noise: float = 0.018
    """SD of the noise in each of the two receiver channels over the signal of blood; magnitude noise is Rician."""
    bias: float = 0.35
    """Fall of the receive coil's sensitivity per 100 mm of depth from the front of the chest, as a log ratio."""
    breath_hold_shifts_mm: tuple[tuple[float, float], ...] = ()
    """How far the body lies off along x and y of the picture in each slice; empty for none. Labels move with it."""
    subplanes: int = 4
    """Planes averaged through the thickness of a slice."""
    seed: int = 0
    """Seed of texture, vessels and noise, and of the identifiers in DICOM."""
    patient: Patient = field(default_factory=lambda: Patient("M", 45.0, 176.0, 76.0))
    """Sex, age, height and weight that files carry."""

    def __post_init__(self) -> None:
        sizes = [*self.lv_radii_ed_mm, *self.lv_radii_es_mm, *self.rv_radii_ed_mm, *self.rv_radii_es_mm]
        sizes += [self.lv_length_mm, self.lv_wall_ed_mm, self.rv_length_mm, self.apex_wall_ratio, self.heart_rate_bpm]
        sizes += [self.slice_distance_mm, self.slice_thickness_mm, *self.pixel_spacing_xy_mm]
        if not np.isfinite(sizes).all() or min(sizes) <= 0:
            raise ValueError("sizes of a phantom must be positive numbers")
        if self.phases < 1 or self.slices < 1 or min(self.shape_xy) < 1 or self.subplanes < 1:
            raise ValueError("a phantom needs at least one phase, slice, row, column and subplane")
        if not 0 <= self.ed_frame < self.phases:
            raise ValueError(f"ed_frame must lie in 0 to {self.phases - 1}")
        if any(es > ed for ed, es in zip(self.lv_radii_ed_mm, self.lv_radii_es_mm, strict=True)):
            raise ValueError("the LV may not be larger at ES than at ED")
        if not 0 <= self.base_above_widest < 1:
            raise ValueError("base_above_widest must lie in [0, 1)")
        if not 0 <= self.lv_base_descent_mm <= self.rv_base_descent_mm < self.rv_length_mm:
            raise ValueError("the RV base must come down at least as far as the LV base, and less than the RV's length")
        if self.slice_thickness_mm > self.slice_distance_mm:
            raise ValueError("slices overlap: slice_thickness_mm exceeds slice_distance_mm")
        if self.breath_hold_shifts_mm and len(self.breath_hold_shifts_mm) != self.slices:
            raise ValueError(f"{len(self.breath_hold_shifts_mm)} breath-hold shifts for {self.slices} slices")

    @property
    def es_frame(self) -> int:
        """Frame at ES, counted from 0."""
        return (self.ed_frame + self.systole_frames) % self.phases

    @property
    def systole_frames(self) -> int:
        """Frames from ED to ES; 0 for a single frame."""
        if self.phases == 1:
            return 0
        return min(self.phases - 1, max(1, round(self.systole_fraction * self.phases)))

    @property
    def rr_interval_ms(self) -> float:
        """Length of one beat."""
        return 60000.0 / self.heart_rate_bpm


def tiny(**changes: object) -> HeartSpec:
    """A small, quick phantom for tests: 8 slices x 6 phases of 64 x 64 pixels, an adult heart of usual size.

    Args:
        changes: fields of `HeartSpec` to set otherwise.
    """
    small = HeartSpec(
        phases=6,
        slices=8,
        slice_distance_mm=14.0,
        lv_base_descent_mm=14.0,
        rv_base_descent_mm=14.0,
        pixel_spacing_xy_mm=(3.0, 3.0),
        shape_xy=(64, 64),
        subplanes=2,
    )
    return replace(small, **changes)  # type: ignore[arg-type]


def breath_hold_shifts(slices: int, sd_mm: float, seed: int) -> tuple[tuple[float, float], ...]:
    """Random shifts for `HeartSpec.breath_hold_shifts_mm`, normally distributed along x and y.

    Args:
        slices: how many slices.
        sd_mm: SD along each axis.
        seed: the same seed gives the same shifts.
    """
    values = np.random.default_rng([seed, 7]).normal(0.0, sd_mm, (slices, 2))
    return tuple((float(x), float(y)) for x, y in values)
