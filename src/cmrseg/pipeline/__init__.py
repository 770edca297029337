"""The straight line from a path to a result: what the commands call, and what calls all rooms of the line."""
