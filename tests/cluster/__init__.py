"""Redis Cluster: the bus, nodes.conf, redirections, and clusters of our nodes and real ones."""
