"""An endpoint of our own on Argilla's API: signs in people who came by an invitation and have no password.

    POST /api/v1/studio/users/{user_id}/session

It answers with what `POST /api/v1/token` gives for a name and a password. Only owners may ask, and only for annotators
whose accounts were made by an invitation: their ids tell (`annotation.BY_INVITATION`).
"""

from __future__ import annotations

from uuid import UUID

from annotation import BY_INVITATION  # type: ignore[import-not-found]
from argilla_server.api.policies.v1 import authorize
from argilla_server.api.schemas.v1.oauth2 import Token
from argilla_server.contexts import accounts
from argilla_server.database import get_async_db
from argilla_server.enums import UserRole
from argilla_server.errors.future import UnprocessableEntityError
from argilla_server.models import User
from argilla_server.security import auth
from fastapi import APIRouter, Depends, Security, status
from sqlalchemy.ext.asyncio import AsyncSession

router = APIRouter(tags=["studio"])


async def _owner(actor: User) -> bool:
    return bool(actor.is_owner)


@router.post("/studio/users/{user_id}/session", status_code=status.HTTP_201_CREATED, response_model=Token)
async def begin(
    *,
    user_id: UUID,
    db: AsyncSession = Depends(get_async_db),
    current_user: User = Security(auth.get_current_user),
) -> Token:
    """Answer with a token that signs a browser in (see the module's text)."""
    await authorize(current_user, _owner)
    user = await User.get_or_raise(db, user_id)
    if user.id.version != BY_INVITATION or user.role != UserRole.annotator:
        raise UnprocessableEntityError("Not an account that was made by an invitation.")
    return Token(access_token=accounts.generate_user_token(user))


def install() -> None:
    """Add the endpoint to Argilla's API; call before it serves."""
    from argilla_server.api.routes import api_v1

    api_v1.include_router(router)
