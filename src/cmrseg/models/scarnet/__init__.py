"""ScarNet (arXiv 2501.01372): MedSAM's encoder and a U-Net side by side, scar attention, adaptive fusion; one network.

`config` and `postprocess` need no torch; what the paper leaves open, and how it is read here, is in
docs/explanation/scarnet.md.
"""
