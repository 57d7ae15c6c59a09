"""What can be measured: a folder for each kind of result, and what they share."""
