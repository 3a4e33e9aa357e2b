"""Weights in safetensors files, with all that is needed to rebuild the network; never pickle."""

from ipbox.learned.weights.modules import load_weights, pretrained, save_weights

__all__ = ["load_weights", "pretrained", "save_weights"]
