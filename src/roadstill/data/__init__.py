"""Data in the form that the rest of the package uses: tables of frames from logs, image sets from pictures."""
