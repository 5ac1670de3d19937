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
        description="Hugging Face token to sign in with; empty: the one of `hf auth login`, or typed on the page. "
        "A Space does not use it: there everybody signs in as themselves.",
    )
    load_megabytes: int = Field(
        1_700, ge=200, description="Memory that loading a dataset may take, MiB; a file that needs more is refused."
    )
    snapshots: Path | None = Field(
        None,
        description="Folder, best of a mounted bucket, that the home is saved to in consistent snapshots; a fresh home "
        "is restored from it. Empty: none.",
    )
    snapshot_minutes: int = Field(
        3, ge=1, le=1440, description="Minutes between two snapshots; the end of a run and of the studio make one too."
    )
    snapshots_of: str = Field(
        "", description="Name of another studio whose place in that folder this one takes, for one that moved."
    )
    # On a Space: who may come besides its owner, and how much each may have.
    visitors: bool = Field(True, description="Whether a Space's studio takes others than its owners; off: it does not.")
    owners: str = Field(
        "",
        description="Names of accounts, separated by commas, that own a Space's studio besides the one it belongs to.",
    )
    visitor_projects: int = Field(10, ge=1, description="Projects that a visitor of a Space may have.")
    visitor_runs: int = Field(3, ge=1, description="Runs that a visitor of a Space may have going at once.")
    visitor_megabytes: int = Field(2_000, ge=1, description="Disk that a visitor of a Space may fill, MB.")
    # What Hugging Face tells a Space.
    space_id: str = Field("", validation_alias="SPACE_ID", description="The Space this is, as Hugging Face sets it.")
    space_host: str = Field(
        "",
        validation_alias="SPACE_HOST",
        description="Host names of the Space, separated by commas, the first its own.",
    )
    space_author: str = Field(
        "", validation_alias="SPACE_AUTHOR_NAME", description="Account that the Space belongs to: it owns the studio."
    )
    space_creator: str = Field(
        "", validation_alias="SPACE_CREATOR_USER_ID", description="Id of who made the Space: they own the studio too."
    )
    oauth_client_id: str = Field(
        "", validation_alias="OAUTH_CLIENT_ID", description="Of the Space's sign-in, as `hf_oauth: true` sets it."
    )
    oauth_client_secret: SecretStr = Field(
        SecretStr(""),
        validation_alias="OAUTH_CLIENT_SECRET",
        description="The same; without it a Space does not start.",
    )
    oauth_scopes: str = Field(
        "openid profile", validation_alias="OAUTH_SCOPES", description="What the Space's sign-in asks for, set as well."
    )
    openid_provider_url: str = Field(
        "https://huggingface.co", validation_alias="OPENID_PROVIDER_URL", description="Where people of a Space sign in."
    )

    @property
    def hosts(self) -> tuple[str, ...]:
        """Host names by which a Space is reached, its own first; none elsewhere."""
        names = self.space_host.split(",") if self.space_id else []
        return tuple(name.strip().lower() for name in names if name.strip())

    @property
    def base(self) -> str:
        """Scheme and host by which a Space is reached, "" elsewhere."""
        return f"https://{self.hosts[0]}" if self.hosts else ""

    def owns(self, sub: str, name: str) -> bool:
        """Return whether an account owns this Space's studio.

        Args:
            sub: Its id, which stays when it is renamed.
            name: Its name.
        """
        named = {self.space_author, *(each.strip() for each in self.owners.split(","))} - {""}
        return (bool(self.space_creator) and sub == self.space_creator) or name in named

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
