"""Experiments with learned methods: training scripts, figures, stored results."""
