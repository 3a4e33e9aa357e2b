"""Raw tomographic scans: projections, flat and dark fields, angles and geometry, read as far as they are asked for."""
