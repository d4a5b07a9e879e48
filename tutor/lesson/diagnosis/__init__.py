"""What is wrong with what was typed."""

from tutor.lesson.diagnosis.errors import explain_error, short_explanation

__all__ = ["explain_error", "short_explanation"]
