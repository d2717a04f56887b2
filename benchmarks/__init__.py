"""FastOpp's figures beside a peer's, measured in the same run. Nothing here is asserted; it is read by people."""
