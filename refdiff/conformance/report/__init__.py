"""Reports of a run: plain data, rendered as text, JSON, Markdown or one HTML page."""
