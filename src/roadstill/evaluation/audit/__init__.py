"""Audits of a set: what it copies, what it betrays of the frames behind it, and what the parts share."""
