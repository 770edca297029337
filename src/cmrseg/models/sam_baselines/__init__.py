"""Baselines that adapt Segment Anything: low-rank updates, learned prompts, and MedSAM tuned whole with its own boxes.

`config` needs no torch. What each baseline is, and what the papers leave open: docs/explanation/baselines.md.
"""
