"""A whole klaxon on this machine, for `./dev up`, the proofs and the tests: Kafka, the stage, the collector and the sinks."""
