"""``make bench``: ipbox against its peers on the same data in one run, required figures beside measured ones.

``rows_*.py`` hold the rows by family, ``ipbox_*.py`` and ``peers_*.py`` what each side runs, in a process and
an environment of its own.  A new family adds its three files; nothing else changes.
"""
