"""
How fast files are read on this node: ``tunegate-agent bench``.

``reader`` runs in a process of its own, because a dead NFS server keeps whoever touches its files
for ever; this side never does. ``results``, ``near_pods`` and ``show`` are pure.
"""
