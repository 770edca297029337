"""A small anchor-free one-stage detector of the YOLO family: what it sees, what it proposes, and the boxes of masks.

Written from the literature (each file names its own); no code of a YOLO implementation is in it.
"""
