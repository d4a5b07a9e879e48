"""A class: a hub that serves the tutor to browsers, a board for the teacher, and grading by replay.

    hub.py        learners, their terminals and what they have done; web.py and its pages show it to browsers
    outbox.py     the learner's side: a numbered journal, sent again until the hub has it on disk
    reporting.py  a course that writes what the learner does into an outbox
    grading.py    a journal replayed on a fresh server

Only `web.py` imports aiohttp. The process of a learner is `tutor/learner.py`, since it shows the whole screen.
"""
