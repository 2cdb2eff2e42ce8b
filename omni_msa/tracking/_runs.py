"""What MLflow holds of a run, as far as it is known: enough to send nothing twice. Nothing here knows MLflow itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

Point = tuple[str, float, int, int]  # metric, value, time in ms, step


@dataclass
class Run:
    """One run, kept up to date as we write; of a trial that has ended only ids, status and tags.

    Args:
        run_id, status: as MLflow has them.
        tags: all of them.
        artifact_uri: where its attached files are.
        params, metrics: all of them; of a metric the last value.
        last_steps: by metric, the last step that has been sent.
        is_whole: False once `params` and `metrics` have been forgotten.
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
        """Give back the memory of what is not needed again unless the trial changes."""
        self.params, self.metrics, self.last_steps, self.is_whole = {}, {}, {}, False

    def news(self, values: Mapping[str, float], time_ms: int) -> list[Point]:
        """Return the values that the run does not hold already, as points of step 0; two NaN are the same."""
        held = self.metrics
        return [(name, value, time_ms, 0) for name, value in values.items() if repr(held.get(name)) != repr(value)]

    def folder(self, tracking_uri: str) -> Path | None:
        """Return the folder of its attached files, None where a server keeps them: only it knows the way there.

        Args:
            tracking_uri: where MLflow's data is.
        """
        is_served = urlsplit(tracking_uri).scheme in ("http", "https", "databricks")
        place = urlsplit(self.artifact_uri or "")
        if is_served or not place.path or place.scheme not in ("", "file"):
            return None
        return Path(unquote(place.path) if place.scheme else str(self.artifact_uri))
