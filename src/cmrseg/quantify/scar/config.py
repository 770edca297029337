"""Which method finds the scar, and its settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from cmrseg.errors import UsageError

#: What each method calls scar, and where it is from.
METHODS: Mapping[str, str] = MappingProxyType(
    {
        "gmm": "two Gaussians of one width fitted to the myocardium's intensities; scar is what more likely belongs to "
        "the brighter one (Dempster et al., J R Stat Soc B 1977;39:1)",
        "ewa": "the same two Gaussians; the border lies half-way between their means, where a voxel is half scar; to "
        "be read with the weighted mass (after Engblom et al., J Cardiovasc Magn Reson 2016;18:27)",
        "fwhm": "above half of the greatest intensity (Amado et al., J Am Coll Cardiol 2004;44:2383)",
        "fwhm_min_max": "above the middle between the least and the greatest intensity",
        "fwhm_remote_max": "above the middle between the remote mean and the greatest intensity",
        "otsu": "above the threshold that parts the intensities with the least variance inside the two classes (Otsu, "
        "IEEE Trans Syst Man Cybern 1979;9:62)",
        **{
            f"{n}sd": f"above the remote mean plus {n} standard deviations (Flett et al., JACC Cardiovasc Imaging "
            "2011;4:150)"
            for n in range(2, 7)
        },
    }
)
#: Used where none is named: the best overlap on real patients and on generated LGE, with a mass that agrees as well as
#: that of the next best (benchmarks/scar_methods.py).
DEFAULT_METHOD = "ewa"


@dataclass(frozen=True)
class ScarConfig:
    """Settings of `find_scar`; the defaults are what `cmrseg measure --scar-method` uses."""

    method: str = DEFAULT_METHOD
    """One of `METHODS`."""
    per: Literal["volume", "slice"] = "volume"
    """One threshold for the stack, or one for each slice (for stacks whose slices differ in inversion time)."""
    rim_mm: float = 1.2
    """Myocardium this close to its border is left out of the statistics: it is mixed with blood or fat. 0 or more."""
    low_percentile: float = 1.0
    """Percentile that stands for the least intensity, so that a single voxel does not decide. 0 to 50."""
    high_percentile: float = 99.0
    """Percentile that stands for the greatest intensity. 50 to 100."""
    smallest_island_mm2: float = 25.0
    """Bright regions of a slice that are smaller are taken for noise. 0 keeps all."""
    smallest_no_reflow_mm2: float = 10.0
    """Dark regions enclosed by scar that are smaller are taken for noise and count as scar."""
    least_separation: float = 2.0
    """Distance of the two Gaussians in their standard deviation below which nothing is enhanced; 2 is where a mixture
    has two peaks (Ashman et al., Astron J 1994;108:2348). Not asked for where remote myocardium or seeds are given."""

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise UsageError(f"There is no scar method {self.method!r}.", f"Methods: {', '.join(METHODS)}.")
        if self.per not in ("volume", "slice"):
            raise UsageError(f"A threshold is per volume or per slice, not per {self.per!r}.")
        lengths = (self.rim_mm, self.smallest_island_mm2, self.smallest_no_reflow_mm2, self.least_separation)
        # written so that NaN is out of range too
        if not (0 <= self.low_percentile < 50 < self.high_percentile <= 100 and all(x >= 0 for x in lengths)):
            raise UsageError(
                "A setting of the scar method is out of range.",
                "Percentiles: low 0 to 50, high 50 to 100; lengths, areas and the separation are 0 or more.",
            )
