"""Mixing models: checkpoints with checkpoints, LoRAs into checkpoints, LoRAs with LoRAs."""
