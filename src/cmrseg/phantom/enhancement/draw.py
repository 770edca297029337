"""Random specs: hearts as different as patients and scanners are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cmrseg.phantom.enhancement.spec import EnhancementSpec, Lesion

#: Middle and half range in degrees, and share, of the territories of LAD, LCx and RCA (AHA segments, Cerqueira 2002).
TERRITORIES = ((60.0, 50.0, 0.5), (190.0, 40.0, 0.2), (295.0, 45.0, 0.3))


#: Muscle of a poorly nulled picture relative to blood, and by how much its scar is brighter at least.
POOR_NULLING, VISIBLE = (0.3, 0.6), 0.35


def random_spec(
    random: np.random.Generator, *, scar: bool | None = None, without_scar: float = 0.2, poor_nulling: float = 0.0
) -> EnhancementSpec:
    """Draw a picture; the same state of the generator gives the same spec.

    Args:
        random: where chance comes from.
        scar: with (True) or without (False) scar; None leaves it to chance.
        without_scar: share of pictures without scar where chance decides, 0 to 1.
        poor_nulling: share of pictures whose muscle is made brighter than a good inversion time leaves it, beyond
            those that chance draws so, 0 to 1.
    """
    with_scar = bool(random.random() < 1 - without_scar) if scar is None else scar
    lesions = random_lesions(random) if with_scar else ()
    spec = EnhancementSpec(lesions=lesions, **_contrast(random), **_scanner(random))  # type: ignore[arg-type]
    if not poor_nulling or random.random() >= poor_nulling:
        return spec
    muscle = float(random.uniform(*POOR_NULLING))
    return replace(spec, remote_signal=muscle, scar_signal=max(spec.scar_signal, muscle + VISIBLE))


def random_lesions(random: np.random.Generator) -> tuple[Lesion, ...]:
    """One to three scars: mostly of one coronary territory, the others of no coronary pattern."""
    if random.random() < 0.85:
        lesions = [_ischaemic(random)]
        if random.random() < 0.2:
            lesions.append(_ischaemic(random))
        if random.random() < 0.1:
            lesions.append(_other(random))
        return tuple(lesions)
    return tuple(_other(random) for _ in range(random.integers(1, 4)))


def _ischaemic(random: np.random.Generator) -> Lesion:
    middle, reach, _ = TERRITORIES[random.choice(3, p=[t[2] for t in TERRITORIES])]
    lad = middle == TERRITORIES[0][0]
    size = random.beta(2.0, 2.0)
    acute = random.random() < 0.25
    return Lesion(
        angle_degrees=float(random.uniform(middle - reach, middle + reach)),
        width_degrees=float(45 + 200 * size * random.uniform(0.6, 1.2)),
        level=float(random.uniform(0.4, 0.9) if lad else random.uniform(0.15, 0.8)),
        length=float(random.uniform(0.4, 1.2) + 1.2 * size),
        transmurality=float(np.clip(random.uniform(0.4, 1.3), 0, 1)),
        spared=float(max(0.0, random.uniform(-0.35, 0.3))),
        taper=float(random.uniform(0.1, 0.7)),
        roughness=float(random.uniform(0.05, 0.5)),
        no_reflow=float(random.uniform(0.3, 0.75)) if acute else 0.0,
    )


def _other(random: np.random.Generator) -> Lesion:
    pattern = ("midwall", "subepicardial", "patchy")[random.choice(3, p=[0.35, 0.3, 0.35])]
    patchy = pattern == "patchy"
    # mid-wall scar favours the septum, sub-epicardial scar the lateral wall, patches the insertions of the RV
    centres = {"midwall": (0.0,), "subepicardial": (200.0, 180.0), "patchy": (-60.0, 60.0, 0.0, 180.0)}[pattern]
    return Lesion(
        pattern=pattern,  # type: ignore[arg-type]
        angle_degrees=float(random.choice(centres) + random.normal(0, 35)),
        width_degrees=float(random.uniform(30, 140)),
        level=float(random.uniform(0.0, 0.9)),
        length=float(random.uniform(0.3, 1.2)),
        transmurality=float(random.uniform(0.5, 1.0) if patchy else random.uniform(0.2, 0.6)),
        depth=float(random.uniform(0.3, 0.65)),
        taper=float(random.uniform(0.15, 0.8)),
        roughness=float(random.uniform(0.1, 0.7)),
        density=float(random.uniform(0.25, 0.7)) if patchy else 1.0,
    )


def _contrast(random: np.random.Generator) -> dict[str, object]:
    psir = bool(random.random() < 0.3)
    remote = float(random.normal(0.24, 0.11))
    grey = random.uniform(0.2, 0.8)
    return {
        "psir": psir,
        "psir_offset": float(np.exp(random.uniform(np.log(0.2), np.log(5.0)))),
        "remote_signal": float(np.clip(remote, -0.2, 0.5)),
        "remote_slice_sd": float(random.uniform(0, 0.06)),
        "remote_regional_sd": float(random.uniform(0.05, 0.25)),
        "scar_signal": float(np.clip(random.lognormal(np.log(1.15), 0.25), 0.6, 2.2)),
        "no_reflow_signal": float(random.uniform(-0.05, 0.35)),
        "rv_signal": float(np.clip(random.normal(0.98, 0.15), 0.6, 1.4)),
        "rim_signal": float(random.uniform(0.1, 0.8)),
        "background_signals": (
            float(random.uniform(0.0, 0.03)),
            float(grey * random.uniform(0.1, 0.5)),
            float(grey),
            float(random.uniform(0.7, 1.3)),
            float(random.uniform(0.9, 2.6)),
        ),
        "grey_zone_mm": float(random.uniform(0.3, 2.0)),
        "scar_texture": float(random.uniform(0.05, 0.5)),
        "muscle_texture": float(random.uniform(0.04, 0.2)),
        "blood_texture": float(random.uniform(0.02, 0.15)),
        "texture_mm": float(random.uniform(0.6, 2.0)),
        "trabeculae": float(random.uniform(0.5, 1.0)),
    }


def _scanner(random: np.random.Generator) -> dict[str, object]:
    x_mm = random.uniform(1.1, 1.8)
    return {
        "resolution_xy_mm": (float(x_mm), float(x_mm * random.uniform(1.0, 1.5))),
        "noise": float(np.exp(random.uniform(np.log(0.012), np.log(0.07)))),
        "ghosting": float(max(0.0, random.uniform(-0.1, 0.6))),
        "gain": float(random.uniform(0.1, 0.6)),
        "gain_corrected": float(random.uniform(0, 1)),
        "slice_gain": float(random.uniform(0, 0.12)),
        "breath_hold_mm": float(random.uniform(0, 2.0)),
        "slice_distance_mm": float(random.uniform(8, 24)) if random.random() < 0.5 else None,
        "only_muscle": bool(random.random() < 0.6),
        "blood_units": float(np.exp(random.uniform(np.log(100), np.log(2500)))),
    }
