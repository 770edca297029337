"""A detector whose boxes prompt Segment Anything: scar found, then outlined (Moafi et al., arXiv 2506.21151)."""
