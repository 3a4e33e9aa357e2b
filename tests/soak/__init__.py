"""What goes wrong where a run is long and a disk is real: kills, full disks, damaged files, load; ``make soak``."""
