"""`python -m cmrseg`: the command, where a launcher such as torchrun wants a module."""

from cmrseg.cli.main import run

run()
