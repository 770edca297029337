"""Segment Anything for prompts that a person gives: one mask for each, whatever is in it."""
