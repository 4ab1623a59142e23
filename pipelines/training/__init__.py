"""How the starter models are made: the picture world, the networks, and the loops that train them.

python -m pipelines.training --help
"""
