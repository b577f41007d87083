"""The real servers of the tests: Kafka, etcd and kube-apiserver as plain processes, without containers."""

from .client import KubeClient, StatusError
from .kafka import Kafka
from .kube import ApiServer
from .reader import Record, read_committed, wait_for_records

__all__ = ["ApiServer", "Kafka", "KubeClient", "Record", "StatusError", "read_committed", "wait_for_records"]
