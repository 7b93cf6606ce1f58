"""Training: samples, the loop, and what turns a checkpoint into a model of ``weights/``."""
