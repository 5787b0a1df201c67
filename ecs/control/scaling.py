"""What the control service asks of AWS: the services' counts, and the metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.connections.aws import aws_session
from pipeline.errors import PipelineError, SettingsError, listed

NAMESPACE = "CeleryWaves"
PAGE = 10  # services that one DescribeServices takes


class ServiceMissing(PipelineError):
    """A service that was to be scaled is not there."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many tasks a service has."""

    desired: int
    running: int
    pending: int


@dataclass(frozen=True, slots=True)
class Metric:
    """One value of one metric."""

    name: str
    value: float
    dimensions: Mapping[str, str]
    unit: str = "None"


@dataclass(frozen=True)
class Aws:
    """Calls of the two services. Everything may be called again without harm."""

    ecs: Any
    cloudwatch: Any
    cluster: str

    @classmethod
    def of(cls, cluster: str) -> Aws:
        """Build clients by boto3's usual sources of region and credentials. Raises SettingsError."""
        session, config = aws_session("the control service", retries={"mode": "standard", "max_attempts": 2})
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415 - comes with the extra [aws]

        try:
            ecs, cloudwatch = (session.client(name, config=config) for name in ("ecs", "cloudwatch"))
        except BotoCoreError as error:
            raise SettingsError(
                f"AWS cannot be used: {error} Set AWS_REGION, or write it into ~/.aws/config."
            ) from None
        return cls(ecs, cloudwatch, cluster)

    def counts(self, services: Sequence[str]) -> dict[str, Counts]:
        """Return the counts of services. Raises ServiceMissing, which names those that are not there."""
        found: dict[str, Counts] = {}
        for start in range(0, len(services), PAGE):
            answer = self.ecs.describe_services(cluster=self.cluster, services=services[start : start + PAGE])
            for one in answer["services"]:
                if one["status"] == "ACTIVE":
                    found[one["serviceName"]] = Counts(
                        one["desiredCount"], one["runningCount"], one["pendingCount"]
                    )
        missing = set(services) - set(found)
        if missing:
            raise ServiceMissing(
                f"cluster {self.cluster!r} has no active service {listed(missing)}. Deploy it, or correct ECS_SERVICES."
            )
        return found

    def set_desired(self, service: str, count: int) -> None:
        """Set how many tasks a service is to have."""
        self.ecs.update_service(cluster=self.cluster, service=service, desiredCount=count)

    def publish(self, metrics: Iterable[Metric]) -> None:
        """Write metrics, of this moment, at a resolution of a second."""
        data = [
            {
                "MetricName": metric.name,
                "Dimensions": [{"Name": name, "Value": value} for name, value in metric.dimensions.items()],
                "Value": metric.value,
                "Unit": metric.unit,
                "StorageResolution": 1,
            }
            for metric in metrics
        ]
        for start in range(0, len(data), 500):
            self.cloudwatch.put_metric_data(Namespace=NAMESPACE, MetricData=data[start : start + 500])
