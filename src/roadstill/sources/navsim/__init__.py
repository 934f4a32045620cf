"""NAVSIM and OpenScene logs: layout, schema, selections, boxes."""
