"""LoRAs and their kin: what a file says, which weight each part belongs to, and how it changes that weight."""
