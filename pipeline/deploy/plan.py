"""What a deployment would do, said before it is done: the Space, its bucket, its hardware and price, what it gets."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from huggingface_hub import Volume
from huggingface_hub.errors import HTTPError

from pipeline.base.errors import StudioError
from pipeline.base.message import Message, message
from pipeline.deploy.code import ROOT, Code, code_of, secrets_in
from pipeline.deploy.options import DeployOptions
from pipeline.hardware import flavors
from pipeline.hardware.flavors import Listing
from pipeline.hub import account, client, spaces
from pipeline.hub.spaces import FREE, NewSpace, Space

MOUNT = "/data"
SLEEP_S = 3600  # seconds without a visitor, of a new Space on paid hardware
VISITORS = "ALIGN_STUDIO_VISITORS"


@dataclass(frozen=True)
class Agreed:
    """What was shown and agreed to; a deployment that would do something else is not done."""

    space: str
    commit: str
    new: bool
    hardware: str
    private: bool
    bucket: str


@dataclass(frozen=True)
class Plan:
    """What a deployment would do.

    Attributes:
        before: The Space as it is now; None: it is made.
        wanted: What it is to have.
        bucket: What is mounted at /data afterwards, "" for nothing.
        code: What is sent.
        price: USD an hour while it runs; 0: free; None: not known.
        listing: Where the price is from.
        gone: Files of earlier deployments that are removed.
        stay: Files there that are not ours and stay.
        warnings: What should be known before.
    """

    before: Space | None
    wanted: NewSpace
    bucket: str
    code: Code
    price: float | None
    listing: Listing
    gone: tuple[str, ...] = ()
    stay: tuple[str, ...] = ()
    warnings: tuple[Message, ...] = field(default=())

    @property
    def new(self) -> bool:
        """Whether the Space is made."""
        return self.before is None

    def agreed(self) -> Agreed:
        """Return what somebody agrees to who agrees to this."""
        wanted = self.wanted
        return Agreed(wanted.name, self.code.commit, self.new, wanted.hardware, wanted.private, self.bucket)


def plan(options: DeployOptions, root: Path = ROOT, commit: str = "HEAD") -> Plan:
    """Return what a deployment would do; nothing is changed.

    Args:
        options: What was chosen.
        root: The clone.
        commit: What of it is deployed.

    Raises:
        StudioError: Nobody may write here, something secret would be sent, a secret has no value, the Hub has no such
            hardware, or it does not answer.
    """
    account.require_write()
    code = code_of(root, commit)
    if found := secrets_in(code):
        raise StudioError("deploy.secret", files=found[:5], count=len(found))
    before = spaces.look(options.space)
    files = spaces.files(options.space) if before else []
    hardware = options.hardware or (before.hardware if before else "") or FREE
    price, listing = _price(hardware)
    bucket, volumes = _bucket(options, before)
    wanted = NewSpace(
        options.space,
        hardware,
        secrets=_secrets(options),
        variables=_variables(options, before),
        volumes=volumes,
        sleep=options.sleep * 60 if options.sleep else before.sleep if before else SLEEP_S,
        private=options.visibility != "public" if options.visibility or before is None else before.private,
    )
    gone = tuple(sorted(set(files) & code.former))
    stay = tuple(sorted(set(files) - code.former - code.files.keys() - {".gitattributes"}))
    found_wrong = tuple(_warnings(options, before, wanted, bucket, code, price))
    return Plan(before, wanted, bucket, code, price, listing, gone, stay, found_wrong)


def _price(hardware: str) -> tuple[float | None, Listing]:
    """Return what hardware costs an hour on a Space, and where that is from.

    Raises:
        StudioError: The Hub has none of that name.
    """
    listing = flavors.listing("space")
    found = listing.find(hardware)
    if found is None and listing.live:
        raise StudioError("deploy.no_hardware", hardware=hardware, names=[each.name for each in listing.flavors])
    if hardware == FREE:
        return 0.0, listing
    return (found.price_per_hour if found else None), listing


def _bucket(options: DeployOptions, before: Space | None) -> tuple[str, tuple[Volume, ...]]:
    """Return the bucket at /data, and all that is mounted afterwards: other volumes stay."""
    there = before.volumes if before else ()
    others = tuple(one for one in there if one.mount_path != MOUNT)
    mounted = next((one.source for one in there if one.mount_path == MOUNT), "")
    if options.bucket == "none":
        if mounted:
            raise StudioError("deploy.keeps_bucket", space=options.space, bucket=mounted)
        return "", others
    if options.bucket and options.bucket != mounted:
        return options.bucket, (*others, Volume(type="bucket", source=options.bucket, mount_path=MOUNT))
    if mounted:
        return mounted, tuple(there)
    if before is not None and not options.bucket:
        return "", others  # it was deployed without, and said so
    bucket = f"{options.space}-data"
    return bucket, (*others, Volume(type="bucket", source=bucket, mount_path=MOUNT))


def _secrets(options: DeployOptions) -> Mapping[str, str]:
    missing = [name for name in options.secrets if not os.environ.get(name)]
    if missing:
        raise StudioError("deploy.no_value", names=missing)
    return {name: os.environ[name] for name in options.secrets}


def _variables(options: DeployOptions, before: Space | None) -> Mapping[str, str]:
    if not options.visitors and before is not None:
        return {}
    return {VISITORS: "false" if options.visitors == "off" else "true"}


def _warnings(
    options: DeployOptions, before: Space | None, wanted: NewSpace, bucket: str, code: Code, price: float | None
) -> list[Message]:
    owner = options.space.partition("/")[0]
    found = []
    plan_of = paid_plan(owner)
    if plan_of is not True:
        found.append(message("deploy.plan.none" if plan_of is False else "deploy.plan.unknown", owner=owner))
    if price:
        found.append(message("deploy.pays", hardware=wanted.hardware))
    if not bucket:
        found.append(message("deploy.no_bucket", folder=MOUNT))
    if before is not None and before.private and not wanted.private:
        found.append(message("deploy.becomes_public"))
    if code.changed:
        found.append(message("deploy.uncommitted", count=len(code.changed), files=list(code.changed[:3])))
    return found


def paid_plan(owner: str) -> bool | None:
    """Return whether an account or organisation has a paid plan; None: the Hub does not say."""
    try:
        said = client.api().whoami()
    except (HTTPError, OSError):
        return None
    if said.get("name") == owner:
        return bool(said["isPro"]) if "isPro" in said else None
    for one in said.get("orgs") or ():
        if one.get("name") == owner and ("isEnterprise" in one or "plan" in one):
            return bool(one.get("isEnterprise")) or one.get("plan") in ("team", "enterprise")
    return None
