"""The laboratory without a screen: scenarios, their runner, and the explanation of every byte between nodes.

explain    the bytes of a connection, span by span
look       the state of the nodes of a world, as plain values
model      what a scenario is
reading    a YAML file → a scenario, or what is wrong with it, and where
words      what somebody types (`cut A B reset`) → actions
stage      a scenario on a history
telling    trace → lines of text
play       the command line
"""
