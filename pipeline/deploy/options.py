"""What can be chosen of a Space that this program is deployed to; what is left empty stays as it is there."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field, field_validator

from pipeline.base.errors import Wrong
from pipeline.hub.client import TOKEN_VARIABLES


class DeployOptions(BaseModel, extra="forbid", validate_assignment=True):
    """Where this program is deployed, and with what."""

    space: str = Field(
        pattern=r"^[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}$",
        description="The Space: OWNER/NAME; made if it is not there.",
    )
    hardware: str = Field(
        "",
        pattern=r"^([a-z0-9][a-z0-9.-]{0,39})?$",
        description="Hardware, as the Hub names it; empty: as it is, of a new one cpu-basic.",
    )
    sleep: int | None = Field(
        None,
        ge=5,
        le=10080,
        description="Minutes without a visitor after which paid hardware sleeps; empty: as it is, of a new one 60.",
        json_schema_extra={"unit": "minutes"},
    )
    bucket: str = Field(
        "",
        pattern=r"^(none|[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95})?$",
        description="Bucket that is mounted at /data: OWNER/NAME, or none; empty: as it is, of a new one NAME-data.",
    )
    visibility: Literal["", "private", "public"] = Field(
        "", description="Who sees the Space; empty: as it is, a new one is private."
    )
    visitors: Literal["", "on", "off"] = Field(
        "", description="Whether others than its owner may sign in; empty: as it is, of a new one on."
    )
    secrets: list[str] = Field(
        default_factory=list,
        description="Names of environment variables of this machine whose values become secrets of the Space.",
    )

    @field_validator("secrets")
    @classmethod
    def _names(cls, names: list[str]) -> list[str]:
        for name in names:
            if name in TOKEN_VARIABLES:
                raise Wrong("deploy.no_token", name=name)
        return names
