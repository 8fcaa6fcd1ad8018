"""``dnslb demo``: the real daemon on a stage of its own, with a script that happens to it."""
