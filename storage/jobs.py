"""Work that only the writer may do, asked for by name: erasure and retention.

Invariant: a job runs in the writer process between two slices, in one transaction or several that each leave the
store right; commits of groups are acknowledged by the journal meanwhile. Arguments and results are opaque bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from storage.sqlite import SqliteStore

Job = Callable[[SqliteStore, bytes], bytes]
Jobs = Mapping[str, Job]
