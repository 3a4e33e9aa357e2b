"""Lower levels that are not smooth, exactly."""
