"""Data as the rest of the package takes it: tables of frames from logs, image sets from pictures."""
