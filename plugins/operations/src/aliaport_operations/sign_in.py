"""Sign-in and what a user may do to the own sign-in: below `/auth`."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, StringConstraints

from aliaport.apps import Context, Refusal
from aliaport_operations import passwords
from aliaport_operations.calls import Call, Outcome, Route
from aliaport_operations.config import ApiConfig
from aliaport_operations.database import Database
from aliaport_operations.families import SIGN_INS
from aliaport_operations.passwords import Hashing
from aliaport_operations.reading import Fields, wrong_field
from aliaport_operations.roles import Role
from aliaport_operations.sessions import Sessions, end_session, end_sessions
from aliaport_operations.text import CLEAN
from aliaport_operations.throttle import Attempt, Throttle
from aliaport_operations.users import NOBODY, find_user, renew_hash, set_password

PATH = "/auth"

_Typed = Annotated[str, StringConstraints(min_length=1, max_length=passwords.LONGEST)]


class Credentials(Fields):
    """Who wants to sign in."""

    username: Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=CLEAN)]
    password: _Typed


class PasswordChange(Fields):
    """The own password, and the one to come (12 characters or more)."""

    current_password: _Typed
    new_password: Annotated[
        str, StringConstraints(min_length=passwords.SHORTEST, max_length=passwords.LONGEST)
    ]


class UserShown(BaseModel):
    """A user."""

    name: str
    role: Role


class SignedIn(BaseModel):
    """The token to send as `Authorization: Bearer`, and when it ends."""

    token: str
    expires_at: datetime
    idle_seconds: float
    user: UserShown


class Myself(BaseModel):
    """Who is signed in."""

    user: UserShown
    signed_in_at: datetime
    expires_at: datetime


class SignedOut(BaseModel):
    """The token is not valid any more."""

    signed_out: bool


class PasswordChanged(BaseModel):
    """How many other sessions were ended."""

    ended_sessions: int


class SignIn:
    """The routes below /auth. No connection is held while a password is checked."""

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

    def routes(self) -> Sequence[Route]:
        """The routes, with the roles that may call them."""
        return [
            Route(
                method="POST",
                path=f"{PATH}/login",
                summary="Sign in",
                handler=self.login,
                role=None,
                body=Credentials,
                answer=SignedIn,
                errors=(401, 429),
                detached=True,
            ),
            Route(
                method="POST",
                path=f"{PATH}/logout",
                summary="Sign out",
                handler=self.logout,
                role=Role.VIEWER,
                answer=SignedOut,
            ),
            Route(
                method="GET",
                path=f"{PATH}/me",
                summary="Read who is signed in",
                handler=self.me,
                role=Role.VIEWER,
                answer=Myself,
            ),
            Route(
                method="POST",
                path=f"{PATH}/password",
                summary="Change the own password: all other sessions of the user end",
                handler=self.change_password,
                role=Role.VIEWER,
                body=PasswordChange,
                answer=PasswordChanged,
                errors=(403, 409, 429),
                detached=True,
            ),
        ]

    async def login(self, call: Call) -> Outcome:
        """`POST /auth/login`."""
        body: Credentials = call.body
        name, address = body.username.strip().lower(), call.address
        async with self._database.connection() as connection:
            attempt = await self._throttle.count(connection, name, address)
            user = await find_user(connection, name) if attempt.wait == 0 else None
        if attempt.wait:
            raise await self._throttled(attempt.wait, address, tell=attempt.first)
        known = passwords.UNKNOWN if user is None else user.password_hash
        right = await self._matches(attempt, known, body.password)
        if user is None or not right or user.disabled_at is not None:
            # A name that is no user's may be a password by mistake: it is not written down.
            raise await self._failed(NOBODY if user is None else user.name, address)
        renewed = None
        if passwords.outdated(user.password_hash):
            with suppress(Refusal):  # the next sign-in may have more luck
                renewed = await self._hashing.hashed(body.password)
        async with self._database.connection() as connection, connection.transaction():
            begun = await self._sessions.begin(
                connection, user.id, user.password_changed_at, address
            )
            if begun is not None:
                if renewed is not None:
                    await renew_hash(connection, user, renewed)
                await self._audit.arecord("user.signed_in", user=user.name, address=address)
        if begun is None:
            raise await self._failed(user.name, address)
        with suppress(Refusal):  # the session has begun: the count may fade by itself
            async with self._database.connection() as connection:
                await self._throttle.succeeded(connection, attempt)
        token, expires_at = begun
        data = SignedIn(
            token=token,
            expires_at=expires_at,
            idle_seconds=self._sessions.idle,
            user=UserShown(name=user.name, role=user.role),
        )
        return Outcome(data, counted=lambda: self._counter.inc(result="succeeded"))

    async def logout(self, call: Call) -> Outcome:
        """`POST /auth/logout`."""
        await self._audit.arecord("user.signed_out", user=call.caller.name)
        await end_session(call.connection, call.caller)
        return Outcome(SignedOut(signed_out=True))

    async def me(self, call: Call) -> Outcome:
        """`GET /auth/me`."""
        caller = call.caller
        return Outcome(
            Myself(
                user=UserShown(name=caller.name, role=caller.role),
                signed_in_at=caller.signed_in_at,
                expires_at=caller.expires_at,
            )
        )

    async def change_password(self, call: Call) -> Outcome:
        """`POST /auth/password`: ends all other sessions of the user."""
        body: PasswordChange = call.body
        caller, address = call.caller, call.address
        if problem := passwords.objection(body.new_password, caller.name):
            raise wrong_field("body.new_password", problem)
        async with self._database.connection() as connection:
            attempt = await self._throttle.count(connection, caller.name, address)
            user = await find_user(connection, caller.name)
        if attempt.wait:
            raise await self._throttled(attempt.wait, address, tell=attempt.first)
        assert user is not None
        if not await self._matches(attempt, user.password_hash, body.current_password):
            await self._audit.arecord(
                "user.password_change", outcome="failure", user=user.name, address=address
            )
            raise Refusal(403, "wrong_password", "the current password is wrong")
        new_hash = await self._hashing.hashed(body.new_password)
        async with self._database.connection() as connection, connection.transaction():
            changed = await set_password(
                connection, user.id, new_hash, instead_of=user.password_hash
            )
            if not changed:
                raise Refusal(409, "conflict", "the password was just changed by somebody else")
            ended = await end_sessions(connection, user.id, but=caller.token_hash)
            await self._audit.arecord(
                "user.password_change", user=user.name, address=address, ended_sessions=ended
            )
        async with self._database.connection() as connection:
            await self._throttle.succeeded(connection, attempt)
        return Outcome(PasswordChanged(ended_sessions=ended))

    async def _matches(self, attempt: Attempt, password_hash: str, password: str) -> bool:
        try:
            return await self._hashing.matches(password_hash, password)
        except Refusal:
            # Who is turned away has guessed nothing, and follows Retry-After into no lock.
            async with self._database.connection() as connection:
                await self._throttle.take_back(connection, attempt)
            raise

    async def _failed(self, user: str, address: str) -> Refusal:
        self._counter.inc(result="failed")
        await self._audit.arecord("user.signed_in", outcome="failure", user=user, address=address)
        return Refusal(
            401,
            "wrong_credentials",
            "user name or password is wrong",
            headers={"WWW-Authenticate": "Bearer"},
        )

    async def _throttled(self, wait: int, address: str, *, tell: bool) -> Refusal:
        self._counter.inc(result="throttled")
        if tell:
            await self._audit.arecord("user.sign_in_throttled", outcome="failure", address=address)
        return Refusal(
            429,
            "too_many_attempts",
            f"too many attempts to sign in failed; try again in {wait} s",
            headers={"Retry-After": str(wait)},
        )
