"""How data are taken: masks, trajectories, coils, noise."""
