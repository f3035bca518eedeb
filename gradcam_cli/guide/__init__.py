"""The guide: one Markdown file for each topic, the same text on GitHub and in the terminal."""
