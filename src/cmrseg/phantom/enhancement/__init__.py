"""LGE made from cine: any frame with masks becomes an LGE stack whose scar is known exactly.

made = enhance(frame, masks, geometry, random_spec(np.random.default_rng(1)), seed=1)

And real LGE with its scar taken out and others painted in: `repaint`.
"""

from cmrseg.phantom.enhancement.draw import random_lesions, random_spec
from cmrseg.phantom.enhancement.make import Enhanced, enhance, make_lge_phantom
from cmrseg.phantom.enhancement.repaint import repaint
from cmrseg.phantom.enhancement.spec import EnhancementSpec, Lesion, Pattern

__all__ = [
    "Enhanced",
    "EnhancementSpec",
    "Lesion",
    "Pattern",
    "enhance",
    "make_lge_phantom",
    "random_lesions",
    "random_spec",
    "repaint",
]
