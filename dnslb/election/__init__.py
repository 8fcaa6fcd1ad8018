"""Who may write, and where decisions outlive a process."""
