"""One typed function per verb; each returns the lines that the door prints."""
