"""What an error means to the user, told from the types and texts of the libraries."""

from __future__ import annotations

from protocol import Problem  # type: ignore[import-not-found]

ADVICE: tuple[tuple[str, tuple[str, ...], str], ...] = (
    (
        "OutOfMemory",
        ("outofmemoryerror", "memoryerror", "out of memory", "can't allocate memory"),
        "Lower the batch size (and raise the gradient accumulation) or the block size, use LoRA, or a larger machine.",
    ),
    (
        "ModelNotFound",
        ("repositorynotfounderror", "revisionnotfounderror", "is not a valid model identifier", "not appear to have"),
        "Check the model's id; a private model needs a sign-in that may read it.",
    ),
    (
        "GatedModel",
        ("gatedrepoerror", "gated repo"),
        "Accept the model's licence on its Hub page and sign in with an account that may read it.",
    ),
    (
        "NoNetwork",
        ("localentrynotfounderror", "connectionerror", "offlinemodeisenabled", "couldn't connect"),
        "Check the network, or choose a model in a local folder.",
    ),
    (
        "RemoteCode",
        ("trust_remote_code",),
        "This model brings its own code, which is not run here: choose another base model.",
    ),
    (
        "DiskFull",
        ("no space left on device", "quota exceeded", "file too large", "file write failed"),
        "Free disk space and start the run again.",
    ),
    (
        "NotSupported",
        ("unrecognized configuration class", "does not recognize this architecture"),
        "Choose another base model.",
    ),
)


def explain(error: BaseException) -> dict[str, str]:
    """Return type, message and next of an error, recognised by the types and texts of its chain of causes."""
    if isinstance(error, Problem):
        return {"type": error.kind, "message": str(error), "next": error.next}
    text, cause = "", error
    while cause is not None:
        text += f"{type(cause).__name__}: {cause}\n".lower()
        cause = cause.__cause__ or cause.__context__  # type: ignore[assignment]
    message = f"{type(error).__name__}: {error}"[:2000]
    for kind, signs, advice in ADVICE:
        if any(sign in text for sign in signs):
            if kind == "DiskFull":
                return {"type": kind, "message": "The disk is full.", "why": message, "next": advice}
            return {"type": kind, "message": message, "next": advice}
    return {"type": type(error).__name__, "message": message, "next": ""}
