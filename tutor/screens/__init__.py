"""The full-screen program's screens: the map of the course, a lesson, the reference, the settings."""
