"""What people read: the terminal, the log, the tables in documents."""

NOT_MEASURED = "not measured"
