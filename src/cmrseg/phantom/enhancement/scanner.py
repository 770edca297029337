"""What the scanner makes of a signal: coil, limited resolution, ghosts of the beating heart, noise, reconstruction."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from cmrseg.phantom.enhancement.spec import EnhancementSpec

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Complex = NDArray[np.complex64]

#: Width of the roll-off at the edge of k-space, as a share of it.
_ROLL_OFF = 0.15
#: Around the drawn structures this far, what is seen moves with the heart.
_MOVING_PIXELS = 3.0
_MAX_UNITS = 32767.0


def acquire(
    signal_ZYX: Floats,
    heart_ZYX: Mask,
    spacing_xy_mm: tuple[float, float],
    spec: EnhancementSpec,
    random: np.random.Generator,
) -> Floats:
    """The picture that is written, float32[Z, Y, X] in whole units.

    Args:
        signal_ZYX: signed signal relative to LV blood.
        heart_ZYX: what beats, and makes ghosts.
        spacing_xy_mm: pixel size.

    Returns:
        Magnitude (Rician noise), or the real part on an offset for a phase-sensitive picture (Gaussian noise).
    """
    _, rows, columns = signal_ZYX.shape
    window = (
        _passband(rows, spacing_xy_mm[1], spec.resolution_xy_mm[1])[:, None]
        * _passband(columns, spacing_xy_mm[0], spec.resolution_xy_mm[0])[None, :]
    )
    gain = coil_gain((rows, columns), spec.gain, random)
    correction = gain ** np.float32(-spec.gain_corrected)
    # noise is stated for the picture; the window lets only a part of white noise through
    noise = np.float32(spec.noise / max(float(np.sqrt(np.mean(window**2))), 1e-6))
    picture = np.empty(signal_ZYX.shape, np.float32)
    for z, signal in enumerate(signal_ZYX):
        level = np.exp(np.float32(spec.slice_gain * random.standard_normal()))
        seen = _with_ghosts(signal * gain, heart_ZYX[z], spec.ghosting, random)
        channels = random.standard_normal((2, rows, columns), dtype=np.float32) * noise
        kspace = fft.fft2(seen + channels[0] + 1j * channels[1]) * window
        image: Complex = fft.ifft2(kspace).astype(np.complex64)
        received = image.real + spec.psir_offset if spec.psir else np.abs(image)
        picture[z] = received * correction * level
    written: Floats = np.clip(np.rint(picture * np.float32(spec.blood_units)), 0, _MAX_UNITS)
    return written


def coil_gain(shape_yx: tuple[int, int], sd: float, random: np.random.Generator) -> Floats:
    """Sensitivity over the picture, float32[Y, X]: smooth, its logarithm of mean 0 and the given SD."""
    rows, columns = (np.linspace(-1, 1, n, dtype=np.float32) for n in shape_yx)
    weights = random.standard_normal(5).astype(np.float32)
    y, x = rows[:, None], columns[None, :]
    field = weights[0] * x + weights[1] * y + 0.6 * (weights[2] * x * y + weights[3] * x**2 + weights[4] * y**2)
    field = field - field.mean()
    gain: Floats = np.exp(np.float32(sd) * field / max(float(field.std()), 1e-6)).astype(np.float32)
    return gain


def _passband(n: int, spacing_mm: float, resolution_mm: float) -> Floats:
    """Weight of every frequency of n pixels: those of the acquired resolution pass, the rest of k-space is empty."""
    frequency = np.abs(fft.fftfreq(n)) * 2 * max(resolution_mm / spacing_mm, 1.0)
    weight: Floats = np.clip((1 - frequency) / _ROLL_OFF, 0, 1).astype(np.float32)
    return weight if resolution_mm > spacing_mm else np.ones(n, np.float32)


def _with_ghosts(signal: Floats, heart: Mask, sd_radians: float, random: np.random.Generator) -> Floats | Complex:
    """The signal with the heart's part acquired at phases that vary from line to line along y."""
    if sd_radians == 0 or not heart.any():
        return signal
    moving = ndimage.gaussian_filter(heart.astype(np.float32), _MOVING_PIXELS)
    moving = np.clip(moving * 2, 0, 1) * signal
    rows = len(signal)
    lines = np.arange(rows, dtype=np.float32)
    period = random.uniform(2.5, 12.0)
    breathing = np.sin(2 * np.pi * (lines / period + random.uniform()))
    phase = sd_radians * (0.8 * breathing + 0.6 * random.standard_normal(rows))
    errors = np.exp(1j * phase) - 1
    ghosts: Complex = fft.ifft(fft.fft(moving, axis=0) * fft.ifftshift(errors)[:, None], axis=0).astype(np.complex64)
    return signal + ghosts
