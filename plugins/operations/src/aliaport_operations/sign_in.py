"""Sign-in, sign-out and change of password: `/auth`."""

from contextlib import suppress
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints

from aliaport.apps import Context, Refusal
from aliaport_operations import passwords
from aliaport_operations.config import ApiConfig
from aliaport_operations.database import Database
from aliaport_operations.families import SIGN_INS
from aliaport_operations.parsing import Fields
from aliaport_operations.passwords import Hashing
from aliaport_operations.responses import invalid_field
from aliaport_operations.routing import ApiRequest, ApiResponse, route
from aliaport_operations.sessions import Sessions, end_session, end_sessions
from aliaport_operations.text import CLEAN
from aliaport_operations.throttle import Attempt, Throttle
from aliaport_operations.users import NOBODY, Role, find_user, renew_hash, set_password

PATH = "/auth"

_Typed = Annotated[str, StringConstraints(min_length=1, max_length=passwords.MAX_LENGTH)]


class Credentials(Fields):
    """User name and password."""

    username: Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=CLEAN)]
    password: _Typed


class PasswordChange(Fields):
    """The current password and the new one, which needs at least 12 characters."""

    current_password: _Typed
    new_password: Annotated[
        str, StringConstraints(min_length=passwords.MIN_LENGTH, max_length=passwords.MAX_LENGTH)
    ]


class UserShown(BaseModel):
    """A user."""

    name: str
    role: Role


class SignedIn(BaseModel):
    """The token to send as `Authorization: Bearer`, and when it expires."""

    token: str
    expires_at: datetime
    idle_seconds: float = Field(
        description="The token also expires after this many seconds without a request."
    )
    user: UserShown


class Myself(BaseModel):
    """The signed-in user and the times of the session."""

    user: UserShown
    signed_in_at: datetime
    expires_at: datetime


class SignedOut(BaseModel):
    """Confirmation that the token is no longer valid."""

    signed_out: bool


class PasswordChanged(BaseModel):
    """The number of other sessions that were ended."""

    ended_sessions: int


class SignIn:
    """The routes below /auth. They do not hold a connection while a password is checked."""

    def __init__(
        self,
        context: Context,
        options: ApiConfig,
        database: Database,
        sessions: Sessions,
        hashing: Hashing,
    ) -> None:
        self._audit = context.audit
        self._database = database
        self._sessions = sessions
        self._hashing = hashing
        self._throttle = Throttle(options)
        self._counter = context.counter(SIGN_INS)
        for result in ("succeeded", "failed", "throttled"):
            self._counter.inc(0, result=result)

    @route(
        "POST",
        f"{PATH}/login",
        "Sign in",
        role=None,
        body=Credentials,
        response=SignedIn,
        errors=(401, 429),
        detached=True,
    )
    async def login(self, request: ApiRequest) -> ApiResponse:
        """Check the credentials and start a session."""
        body: Credentials = request.body
        name, address = body.username.strip().lower(), request.address
        async with self._database.connection() as connection:
            attempt = await self._throttle.count(connection, name, address)
            user = await find_user(connection, name) if attempt.wait == 0 else None
        if attempt.wait:
            raise await self._throttled(attempt.wait, address, audited=attempt.first)
        password_hash = passwords.DUMMY_HASH if user is None else user.password_hash
        correct = await self._matches(attempt, password_hash, body.password)
        if user is None or not correct or user.disabled_at is not None:
            # An unknown name may be a password in the wrong field, so it is not recorded.
            raise await self._failed(NOBODY if user is None else user.name, address)
        renewed = None
        if passwords.outdated(user.password_hash):
            with suppress(Refusal):  # the next sign-in tries again
                renewed = await self._hashing.hashed(body.password)
        async with self._database.connection() as connection, connection.transaction():
            session = await self._sessions.begin(
                connection, user.id, user.password_changed_at, address
            )
            if session is not None:
                if renewed is not None:
                    await renew_hash(connection, user, renewed)
                await self._audit.arecord("user.signed_in", user=user.name, address=address)
        if session is None:
            raise await self._failed(user.name, address)
        with suppress(Refusal):  # the session is open, and the count expires anyway
            async with self._database.connection() as connection:
                await self._throttle.succeeded(connection, attempt)
        token, expires_at = session
        data = SignedIn(
            token=token,
            expires_at=expires_at,
            idle_seconds=self._sessions.max_idle,
            user=UserShown(name=user.name, role=user.role),
        )
        return ApiResponse(data, on_commit=lambda: self._counter.inc(result="succeeded"))

    @route("POST", f"{PATH}/logout", "Sign out", role=Role.VIEWER, response=SignedOut)
    async def logout(self, request: ApiRequest) -> ApiResponse:
        """End the caller's session."""
        await self._audit.arecord("user.signed_out", user=request.caller.name)
        await end_session(request.connection, request.caller)
        return ApiResponse(SignedOut(signed_out=True))

    @route("GET", f"{PATH}/me", "Read the signed-in user", role=Role.VIEWER, response=Myself)
    async def me(self, request: ApiRequest) -> ApiResponse:
        """Return the caller and the times of the session."""
        caller = request.caller
        return ApiResponse(
            Myself(
                user=UserShown(name=caller.name, role=caller.role),
                signed_in_at=caller.signed_in_at,
                expires_at=caller.expires_at,
            )
        )

    @route(
        "POST",
        f"{PATH}/password",
        "Change your password and end your other sessions",
        role=Role.VIEWER,
        body=PasswordChange,
        response=PasswordChanged,
        errors=(403, 409, 429),
        detached=True,
    )
    async def change_password(self, request: ApiRequest) -> ApiResponse:
        """Set a new password and end all other sessions of the user."""
        body: PasswordChange = request.body
        caller, address = request.caller, request.address
        if problem := passwords.find_fault(body.new_password, caller.name):
            raise invalid_field("body.new_password", problem)
        async with self._database.connection() as connection:
            attempt = await self._throttle.count(connection, caller.name, address)
            user = await find_user(connection, caller.name)
        if attempt.wait:
            raise await self._throttled(attempt.wait, address, audited=attempt.first)
        assert user is not None
        if not await self._matches(attempt, user.password_hash, body.current_password):
            await self._audit.arecord(
                "user.password_change_failed", outcome="failure", user=user.name, address=address
            )
            raise Refusal(403, "wrong_password", "the current password is wrong")
        new_hash = await self._hashing.hashed(body.new_password)
        async with self._database.connection() as connection, connection.transaction():
            changed = await set_password(
                connection, user.id, new_hash, instead_of=user.password_hash
            )
            if not changed:
                raise Refusal(
                    409,
                    "conflict",
                    "the password has just been changed; try again with the new one",
                )
            ended = await end_sessions(connection, user.id, keep=caller.token_hash)
            await self._audit.arecord(
                "user.password_changed", user=user.name, address=address, ended_sessions=ended
            )
        async with self._database.connection() as connection:
            await self._throttle.succeeded(connection, attempt)
        return ApiResponse(PasswordChanged(ended_sessions=ended))

    async def _matches(self, attempt: Attempt, password_hash: str, password: str) -> bool:
        try:
            return await self._hashing.matches(password_hash, password)
        except Refusal:
            # An attempt that was not checked is not a guess, and its retry must not be throttled.
            async with self._database.connection() as connection:
                await self._throttle.take_back(connection, attempt)
            raise

    async def _failed(self, user: str, address: str) -> Refusal:
        self._counter.inc(result="failed")
        await self._audit.arecord("user.signed_in", outcome="failure", user=user, address=address)
        return Refusal(
            401,
            "wrong_credentials",
            "the user name or the password is wrong",
            headers={"WWW-Authenticate": "Bearer"},
        )

    async def _throttled(self, wait: int, address: str, *, audited: bool) -> Refusal:
        self._counter.inc(result="throttled")
        if audited:
            await self._audit.arecord("user.sign_in_throttled", outcome="failure", address=address)
        return Refusal(
            429,
            "too_many_attempts",
            f"too many failed sign-ins; try again in {wait} s",
            headers={"Retry-After": str(wait)},
        )
