"""The course and the controller of a lesson, without a screen.

    model           what a lesson is, as plain data
    reading         a Markdown file → a lesson, or problems with file and line
    transcript      prompt lines and replies: parsing, and matching what varies
    catalogue       all lessons, the glossary, links
    installed       the installed course with the learner's progress, as front ends see it
    server          what a session needs of a server (`Server`), and the two that there are
    machines        servers with an address, files and a life of their own, ours or real ones
    shell           the small shell on a machine
    multi_server    a session's `Server` over machines: terminals, shells, and undo
    checks          conditions on a server's state and on what was typed
    hints           levels of hints: reaction → syntax → solution
    diagnosis       what an error means and what to do
    session         a lesson being taken, over a `Server`
    journal         what was typed in the current step, kept in a file
    progress        what the learner has done, kept in a file
    front_end       what front ends and controllers expect of each other; `messages`, `view`: what they exchange
    controller      a lesson with its server and terminals, which a front end drives; `sandbox`: without a lesson
    terminal        one terminal's connection, in a thread of its own
    program_terminal  one that is a program: a machine's shell (`shell_terminal`), or Python (`python_terminal`)
    printed         what a terminal prints for a reply, or a program prints
    key_view        what the inspector shows of the keys, read without side effects
    wire_view       bytes on the wire, explained frame by frame
    listing         `redis-tutor list`

The full screen, the plain mode and `verify` are three users of `Session`. The format of lesson files is described in
`lessons/README.md`.
"""
