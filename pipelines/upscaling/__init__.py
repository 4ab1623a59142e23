"""From a small picture to a large one."""
