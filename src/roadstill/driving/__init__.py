"""From decisions to a driven car: centerline, vehicle, rollout, metrics."""
