"""A mail server on loopback that requires STARTTLS and a password, as the real one does."""

import logging
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext
from typing import Any

import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, Session

from tests.support.service import free_port

USER = "alertmanager@aliaport.com"
PASSWORD = "a mail password"


class Smtp:
    """The mail server. `.messages`: the mails, the oldest first.

    `folder` gets the certificate of its authority: trust it with SSL_CERT_FILE=`.authority`. Subjects
    begin like the titles of Slack messages.
    """

    def __init__(self, folder: Path) -> None:
        # It logs a warning about itself with each mail.
        logging.getLogger("mail.log").setLevel(logging.ERROR)
        self.messages: list[EmailMessage] = []
        self.recipients: list[list[str]] = []
        self.port = free_port()
        authority = trustme.CA()
        self.authority = folder / "authority.pem"
        authority.cert_pem.write_to_path(str(self.authority))
        context = SSLContext(PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        self._controller = Controller(
            self,
            hostname="127.0.0.1",
            port=self.port,
            tls_context=context,
            require_starttls=True,
            auth_required=True,
            # Alertmanager does not understand the prompts of its LOGIN.
            auth_exclude_mechanism=["LOGIN"],
            authenticator=_allowed,
        )
        self._controller.start()

    async def handle_DATA(self, server: Any, session: Session, envelope: Envelope) -> str:
        """Store a mail; the server calls this for each."""
        assert isinstance(envelope.content, bytes)
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.recipients.append([str(recipient) for recipient in envelope.rcpt_tos])
        self.messages.append(mail)
        return "250 OK"

    def stop(self) -> None:
        self._controller.stop()


def text_of(mail: EmailMessage, kind: str = "plain") -> str:
    """Return the body as plain text, or with `kind="html"` as HTML."""
    body = mail.get_body((kind,))
    assert body is not None, f"the mail has no {kind} body"
    return str(body.get_content()).replace("\r\n", "\n")


def _allowed(server: Any, session: Any, envelope: Any, mechanism: str, given: Any) -> AuthResult:
    right = (given.login, given.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=right)
