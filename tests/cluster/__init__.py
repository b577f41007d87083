"""The real servers of the tests: Kafka, etcd and kube-apiserver as plain processes, without containers."""

from .kafka import Kafka
from .kube import ApiServer
from .reader import Record, read_committed

__all__ = ["ApiServer", "Kafka", "Record", "read_committed"]
