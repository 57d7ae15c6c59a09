"""Campaigns of random faults against the suite: `./tests/run.sh soak`. No part of the normal tests."""
