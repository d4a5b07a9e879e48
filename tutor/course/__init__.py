"""The course without a screen: lessons, checks, hints, sessions, progress, and the proof that all of it holds.

    model       what a lesson is, as plain data
    reading     a Markdown file → a lesson, or problems with file and line
    transcript  prompt lines and replies: parsing, and matching what varies
    catalogue   all lessons, the glossary, links
    server      what a session needs of a server (`Server`), and the two that there are
    machines    servers with an address, files and a life of their own, ours or real ones
    shell       the little shell on a machine
    several     a session's `Server` over machines: terminals, shells, and a way back
    checks      conditions on a server's state and on what was typed
    hints       the ladder: reaction → shape → solution
    session     a lesson being taken, over a `Server`
    progress    what the learner has done, kept in a file
    verify      the proofs that `redis-tutor verify` runs
    listing     `redis-tutor list`

Nothing here knows a screen. The full screen, the plain mode and `verify` are three users of `Session`.
The format of lesson files is described in `lessons/README.md`.
"""
