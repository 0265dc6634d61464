"""Email over SMTP: encrypted, unless the operator named the host."""

from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime

import aiosmtplib

from edgewright.errors import InputError, TransportError
from edgewright.fleet.notify.base import Notice, Parcel
from edgewright.fleet.notify.web import context_for

TIMEOUT_S = 20.0

_SUBJECT_CHARACTERS = 150


class MailNotifier:
    """One message to all recipients of a destination.

    Its Message-ID is made of the notice's id, so that one sent twice can be known as such.
    """

    async def deliver(self, parcel: Parcel, *, at_s: float) -> None:
        where = f"{parcel.destination.host}:{parcel.destination.port}"
        try:
            await _send(parcel, message_of(parcel, at_s=at_s))
        except aiosmtplib.SMTPResponseException as error:
            if 500 <= error.code < 600 and not isinstance(
                error, aiosmtplib.SMTPAuthenticationError
            ):
                raise InputError(f"{where} refuses the message: {_short(error)}") from error
            raise TransportError(f"{where}: {_short(error)}", hint="tried again later") from error
        except aiosmtplib.SMTPRecipientsRefused as error:
            raise InputError(f"{where} takes none of the recipients") from error
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            raise TransportError(f"{where}: {_short(error)}", hint="tried again later") from error


def message_of(parcel: Parcel, *, at_s: float) -> EmailMessage:
    """The message, as it is sent."""
    notice, destination = parcel.notice, parcel.destination
    message = EmailMessage()
    message["From"] = destination.sender
    message["To"] = ", ".join(destination.recipients)
    message["Subject"] = f"edgewright {notice.line}"[:_SUBJECT_CHARACTERS]
    message["Date"] = format_datetime(datetime.fromtimestamp(at_s, UTC))
    message["Message-ID"] = f"<{notice.id}@{destination.sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(_text(notice))
    return message


def _text(notice: Notice) -> str:
    lines = [notice.line, "", f"when  {notice.at}", f"id    {notice.id}"]
    return "\n".join(lines + [f"      {device}" for device in notice.devices]) + "\n"


async def _send(parcel: Parcel, message: EmailMessage) -> None:
    destination = parcel.destination
    client = aiosmtplib.SMTP(
        hostname=parcel.address,
        port=destination.port,
        local_hostname=destination.sender.rpartition("@")[2],
        timeout=TIMEOUT_S,
        use_tls=destination.has_tls,
        start_tls=False,
        tls_context=context_for(destination.host),
    )
    async with client:
        await client.ehlo()
        if not destination.has_tls and (
            not parcel.may_be_plain or client.supports_extension("starttls")
        ):
            await client.starttls()
        if destination.user:
            await client.login(destination.user, parcel.secret)
        await client.send_message(message, recipients=list(destination.recipients))


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
