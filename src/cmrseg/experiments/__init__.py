"""Tables and figures of the papers, each re-run on real patients beside what the paper says."""
