"""Request bodies as the benchmark posts them: an order confirmation in text and HTML, about 2 KB of
JSON, and the same with an attachment so that the whole body has the size asked for."""

import base64
import json
import random

GOODS = ["Espresso cups, set of 4", "Linen tea towel", "Oak chopping board", "Café crème, 500 g"]


def order_lines():
    rows = [(name, number + 1, 12.5 + 7 * number) for number, name in enumerate(GOODS)]
    text = "".join(f"{count} x {name:<28} {price:>8.2f} EUR\n" for name, count, price in rows)
    html = "".join(
        f"<tr><td>{count}</td><td>{name}</td><td align=\"right\">{price:.2f}&nbsp;€</td></tr>\n"
        for name, count, price in rows
    )
    return text, html


def message(attachment_bytes=0):
    text, html = order_lines()
    mail = {
        "from": "Example Shop <orders@shop.example.com>",
        "to": ["Ann Müller <ann@example.org>"],
        "subject": "Your order 2026-104233 is on its way",
        "text": "Dear Ann,\n\nthank you for your order. We have just handed it to the carrier:\n\n"
        + text
        + "\nYou can follow the parcel here:\n"
        "https://shop.example.com/orders/2026-104233?token=9fK2mQ\n\n"
        "Questions? Simply reply to this message.\n\nKind regards,\nExample Shop\n",
        "html": "<!doctype html><html><body style=\"font-family:sans-serif;color:#222\">"
        "<h1 style=\"font-size:20px\">Dear Ann,</h1>\n<p>thank you for your order. We have just "
        "handed it to the carrier:</p>\n<table cellpadding=\"6\" style=\"border-collapse:collapse\">\n"
        + html
        + "</table>\n<p>You can follow the parcel "
        "<a href=\"https://shop.example.com/orders/2026-104233?token=9fK2mQ\">here</a>.</p>\n"
        "<p>Questions? Simply reply to this message.</p>\n"
        "<p style=\"font-size:12px;color:#888\">Example Shop, 1 High Street, 12345 Exampletown. "
        "You get this message because you ordered at shop.example.com.</p></body></html>\n",
    }
    if attachment_bytes:
        content = random.Random(1).randbytes(attachment_bytes)
        mail["attachments"] = [
            {
                "filename": "invoice.pdf",
                "content": base64.b64encode(content).decode(),
                "content_type": "application/pdf",
            }
        ]
    return mail


BOUNDARY = "----lettergate-bench-5f0c7d1a9be24"


def form(attachment_bytes=0):
    """The same message as multipart/form-data."""
    mail = message(attachment_bytes)
    parts = [
        f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}'.encode()
        for name in ("from", "to", "subject", "text", "html")
        for value in (mail[name] if isinstance(mail[name], list) else [mail[name]])
    ]
    for one in mail.get("attachments", []):
        head = f'Content-Disposition: form-data; name="attachment"; filename="{one["filename"]}"\r\n'
        head += f'Content-Type: {one["content_type"]}\r\n\r\n'
        parts.append(head.encode() + base64.b64decode(one["content"]))
    delimiter = b"--" + BOUNDARY.encode()
    return b"".join(delimiter + b"\r\n" + part + b"\r\n" for part in parts) + delimiter + b"--\r\n"


def body(attachment_bytes=0):
    return json.dumps(message(attachment_bytes), ensure_ascii=False).encode()


def mime(attachment_bytes=0):
    """The same message as a MIME text, for the peers that only speak SMTP."""
    from email.message import EmailMessage
    from email.utils import formatdate

    mail = message(attachment_bytes)
    mime_message = EmailMessage()
    mime_message["From"] = mail["from"]
    mime_message["To"] = mail["to"][0]
    mime_message["Subject"] = mail["subject"]
    mime_message["Date"] = formatdate()
    mime_message["Message-ID"] = "<104233.bench@shop.example.com>"
    mime_message.set_content(mail["text"], cte="quoted-printable")
    mime_message.add_alternative(mail["html"], subtype="html", cte="quoted-printable")
    for attachment in mail.get("attachments", []):
        maintype, subtype = attachment["content_type"].split("/")
        mime_message.add_attachment(
            base64.b64decode(attachment["content"]),
            maintype=maintype,
            subtype=subtype,
            filename=attachment["filename"],
        )
    return mime_message.as_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
