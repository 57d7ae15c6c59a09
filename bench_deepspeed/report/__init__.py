"""Tables and charts in every output format; knows no kind of result."""
