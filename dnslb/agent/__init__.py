"""The stand-alone health agent: checks what a healthd announces, and tells it what it saw."""
