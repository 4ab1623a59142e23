"""Readers of pictures: what sky, ground, colour and kind a picture shows, without asking the model that made it."""
