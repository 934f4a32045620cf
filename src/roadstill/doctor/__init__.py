"""What is installed, found and missing on this machine, as plain facts for a person or a bug report.

Each part examines one thing and never fails: an error while examining is a fact too. Nothing is downloaded, no
environment is listed, and the names of home folder, user and machine are replaced in every text.
"""

from roadstill.doctor.report import as_text, examine

__all__ = ["as_text", "examine"]
