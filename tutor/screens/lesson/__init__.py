"""A lesson on the full screen.

screen      the screen: opens the lesson, finds out what keys and the palette offer, leaves it
header      where the learner is
panes       what is in sight: text, terminals, inspector, or one of them where there is little room
terminals   what is typed, on its way to the controller
text        the text, and what a click in it does
laboratory  the way into the laboratory
editor      the multi-line editor, a screen over the lesson
dialogs     what is asked at the end of a lesson, and when it is left

The controller's news go to the widget that shows each kind (`tutor.widgets.news`).
"""

from tutor.screens.lesson.screen import LessonScreen

__all__ = ["LessonScreen"]
