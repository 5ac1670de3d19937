"""Every environment variable the studio reads: name, default, meaning."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """The studio's settings; each field is the environment variable ALIGN_STUDIO_<NAME> unless it says otherwise."""

    model_config = SettingsConfigDict(env_prefix="ALIGN_STUDIO_", extra="ignore", populate_by_name=True)

    home: Path = Field(
        Path.home() / ".align-studio",
        description="Folder of projects, runs, the ledger and the embedded Argilla's data; on a local disk.",
    )
    engines: Path | None = Field(None, description="Folder of the engines' environments; default: engines in the home.")
    extensions: Path | None = Field(
        None, description="Folder with Python files of your own that add to the studio; they may do all it may."
    )
    host: str = Field("127.0.0.1", description="Address the studio listens on.")
    port: int = Field(7860, ge=1, le=65535, description="Port the studio listens on.")
    annotators: str = Field(
        "", description="HOST:PORT of a second listener that serves /annotate and nothing else; empty: none."
    )
    token: bool = Field(
        True, description="Whether the studio asks for the sign-in token in the address it prints; off: it asks nobody."
    )
    argilla_api_url: str = Field(
        "",
        validation_alias="ARGILLA_API_URL",
        description="An Argilla server of your own; empty: the embedded one.",
    )
    argilla_api_key: SecretStr = Field(
        SecretStr(""), validation_alias="ARGILLA_API_KEY", description="Owner's API key of that server."
    )
    hf_token: SecretStr = Field(
        SecretStr(""),
        validation_alias="HF_TOKEN",
        description="Hugging Face token to sign in with; empty: the one of `hf auth login`, or typed on the page.",
    )

    @property
    def engines_folder(self) -> Path:
        """Folder that holds the engines' environments."""
        return self.engines or self.home / "engines"


def table() -> str:
    """Return the settings as a Markdown table, for the README."""
    lines = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        variable = field.validation_alias or f"ALIGN_STUDIO_{name.upper()}"
        default = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
        shown = str(default).replace(str(Path.home()), "~") if default not in (None, "") else ""
        lines.append(f"| `{variable}` | {f'`{shown}`' if shown else ''} | {field.description} |")
    return "\n".join(lines)
