"""Segment Anything (Kirillov et al., ICCV 2023): image encoder, prompt encoder and mask decoder.

Written from the paper and the published architecture; parameters carry the names of the published checkpoints, so that
those load by name. See `cmrseg.models.sam.checkpoints`.
"""
