"""CardioSAM (arXiv 2604.03313): a frozen SAM encoder, attention per heart structure, a decoder that refines contours.

`config` needs no torch; what the paper leaves open, and how it is read here, is in docs/explanation/cardiosam.md.
"""
