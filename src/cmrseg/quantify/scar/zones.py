"""How bright the scar is between remote myocardium and its own brightest part: core, grey zone, and weighted mass."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]
#: From remote myocardium (0) to the brightest scar (1): where the core begins, and where the grey zone begins.
CORE_FROM, GREY_FROM = 0.50, 0.35
#: Percentile of the scar's intensities that stands for the brightest.
BRIGHTEST_PERCENTILE = 99.0
#: Remote myocardium this near to scar, in steps of a pixel, is mixed with it.
_MARGIN_STEPS = 2
_IN_PLANE = np.ones((1, 3, 3), bool)
FEWEST_REMOTE_VOXELS = 30


@dataclass(frozen=True)
class Zones:
    """Voxel counts of an enhanced region.

    Args:
        core: voxels of the core, no-reflow included.
        grey: voxels of the grey zone: scar that is less bright, and muscle beside it that is brighter than remote.
        weighted: sum over scar and the voxels around it of the part of each that is scar, 0 to 1; no-reflow counts 1.
    """

    core: int
    grey: int
    weighted: float


def scar_zones(
    picture_ZYX: NDArray[np.floating], remote_ZYX: Mask, scar_ZYX: Mask, no_reflow_ZYX: Mask
) -> Zones | None:
    """Divide the scar by its brightness.

    Brightness is counted from the median of remote myocardium (0) to the brightest scar (1), so that images with an
    offset (PSIR) and magnitude images are read alike. For the weighted sum it is counted to the median of the scar
    instead.

    Args:
        picture_ZYX: LGE intensities.
        remote_ZYX: muscle that is not scar.
        scar_ZYX: scar, no-reflow left out.
        no_reflow_ZYX: dark cores.

    Returns:
        The zones; None without remote myocardium away from the scar, without scar, or where scar is no brighter.

    Source: core and border zone after Schmidt et al., Circulation 2007;115:2006; weighted sum after Engblom et al., J
    Cardiovasc Magn Reson 2016;18:27.
    """
    near = ndimage.binary_dilation(scar_ZYX | no_reflow_ZYX, _IN_PLANE, iterations=_MARGIN_STEPS)
    far = remote_ZYX & ~near
    if far.sum() < FEWEST_REMOTE_VOXELS or not scar_ZYX.any():
        return None
    picture = picture_ZYX.astype(np.float64)
    remote, typical = float(np.median(picture[far])), float(np.median(picture[scar_ZYX]))
    brightest = float(np.percentile(picture[scar_ZYX], BRIGHTEST_PERCENTILE))
    if not typical > remote:
        return None
    height = (picture - remote) / (brightest - remote)
    core = no_reflow_ZYX | (scar_ZYX & (height >= CORE_FROM))
    greyish = remote_ZYX & (height >= GREY_FROM) & (height < CORE_FROM)
    grey = (scar_ZYX & ~core) | _touching(greyish, scar_ZYX)
    part = np.clip((picture - remote) / (typical - remote), 0.0, 1.0)
    around = scar_ZYX | (remote_ZYX & ndimage.binary_dilation(scar_ZYX, _IN_PLANE))
    return Zones(int(core.sum()), int(grey.sum()), float(part[around].sum() + no_reflow_ZYX.sum()))


def _touching(mask_ZYX: Mask, other_ZYX: Mask) -> Mask:
    """Regions of a mask (8 neighbours, slice by slice) that lie beside another."""
    beside = mask_ZYX & ndimage.binary_dilation(other_ZYX, _IN_PLANE)
    spread: Mask = ndimage.binary_propagation(beside, _IN_PLANE, mask=mask_ZYX)
    return spread
