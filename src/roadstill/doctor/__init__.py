"""What is installed, found and missing on this machine, as plain facts for a person or a bug report.

Each part looks at one thing and never fails: what goes wrong while looking is a fact too. Nothing is fetched, no
environment is listed, and home folder, user and machine are blotted out of every text.
"""

from roadstill.doctor.report import as_text, examine

__all__ = ["as_text", "examine"]
