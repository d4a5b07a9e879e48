"""The terminal program: command line, prompt, course, screens."""
