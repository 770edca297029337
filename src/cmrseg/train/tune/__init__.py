"""Search for settings: particle swarm, random search and TPE over whatever a configuration marks as tunable.

Searching knows nothing of networks and needs no torch; only `objective`, which trains, does.
"""
