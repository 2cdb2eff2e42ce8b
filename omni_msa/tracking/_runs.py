"""The known content of an MLflow run, so that nothing is sent twice. Independent of mlflow itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

Point = tuple[str, float, int, int]  # metric, value, time in ms, step


@dataclass
class Run:
    """One run, updated as we write; for a finished trial only ids, status and tags are kept.

    Args:
        run_id, status: as in MLflow.
        tags: all tags.
        artifact_uri: location of its attached files.
        params, metrics: all parameters, and the last value of each metric.
        last_steps: last step sent, by metric.
        is_whole: False after `params` and `metrics` have been discarded.
    """

    run_id: str
    status: str
    tags: dict[str, str]
    artifact_uri: str | None = None
    params: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    last_steps: dict[str, int] = field(default_factory=dict)
    is_whole: bool = True

    def forget(self) -> None:
        """Discard parameters and metrics, which are needed again only if the trial changes."""
        self.params, self.metrics, self.last_steps, self.is_whole = {}, {}, {}, False

    def news(self, values: Mapping[str, float], time_ms: int) -> list[Point]:
        """Return the values that the run does not have yet, as points of step 0; NaN equals NaN."""
        held = self.metrics
        return [(name, value, time_ms, 0) for name, value in values.items() if repr(held.get(name)) != repr(value)]

    def folder(self, tracking_uri: str) -> Path | None:
        """Return the local folder of its attached files, None if a server stores them.

        Args:
            tracking_uri: location of MLflow's data.
        """
        is_served = urlsplit(tracking_uri).scheme in ("http", "https", "databricks")
        location = urlsplit(self.artifact_uri or "")
        if is_served or not location.path or location.scheme not in ("", "file"):
            return None
        return Path(unquote(location.path) if location.scheme else str(self.artifact_uri))
