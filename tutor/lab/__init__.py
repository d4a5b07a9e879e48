"""The laboratory without a screen: scenarios, their runner, and the explanation of every byte between nodes.

explain           the bytes of a connection, span by span
routine           what Sentinels and applications say all the time
model             what a scenario is
loader            a YAML file → a scenario, or what is wrong with it, and where
actions           typed lines (`cut A B reset`) → actions
choosing          what is pending, and lines that choose among it
controls          what can be done to a cluster: keys, footer, help and palette
completer         completion and hints for what is typed
runner            a scenario on a history
work              what takes long, in slices
session           what a learner does with it: time, actions and their undo, a prompt
format            trace → lines of text
event_log         the lines of a history, and what is behind each of them
ledger            every acknowledged write: who has it, and which event lost it
lineage           which writes a node has: a position in the tree of everything that was executed
saved             what the files of a simulated disk contain
data              what the Data pane shows
drawing           what the panes show, as rows of text
sequence_diagram  messages as arrows between machines
console           what was typed at a node, as redis-cli shows it
shown_log         the log as it is shown: heartbeats folded, a filter
finding           what can be sought: decisions, failures, messages, offsets, words
topology          the cluster as a drawing
moves             what an exploration does: random writes and faults
probes            the conditions that it seeks
exploring         `find`: a history in which a condition holds
seeking           `find` on the command line
watching          values of nodes, and conditions of them
watchlist         the watch expressions of a session, and their changes
naming            what is said of a name that is not known
keeping           files of sessions, notes, and their list
recipe            the seed and the actions as text
journal           a session on disk while it goes on, to be restored after a crash
export            text, pictures, recordings, and pages that a browser replays
diff              two branches side by side
programs          client programs: writers, readers, queues, lockers
building          a laboratory that the learner builds: so many nodes in a shape
clusterfile       one from a YAML file
deployment        one from what the servers of a real deployment say
play              the command line
expose            nodes on ports of the real machine
outside           what is shown of these ports

The state of nodes, as plain values, is in `engine.simulation.state`.
"""
