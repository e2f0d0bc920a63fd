"""Mails that break rules or stretch them, as octets: other charsets, wrong ones, no text, an empty mail, a large one.

`@DATE@` becomes the date when the mail is delivered.
"""

import base64


def _head(sender: str, subject: str, content_type: str, *more: str) -> bytes:
    lines = [
        f"From: {sender}",
        "To: mei.lin@example.com",
        f"Subject: {subject}",
        "Date: @DATE@",
        "MIME-Version: 1.0",
        f"Content-Type: {content_type}",
        *more,
    ]
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n"


def _word(text: str, charset: str) -> str:
    """An encoded word of a header (RFC 2047)."""
    return f"=?{charset}?B?{base64.b64encode(text.encode(charset)).decode()}?="


GB2312 = _head("notice@bank.example", _word("账单通知", "gb2312"), 'text/plain; charset="gb2312"', "Content-Transfer-Encoding: base64") + (
    base64.encodebytes("尊敬的客户：\r\n您本月的账单为￥1,234.50，请于25日前还款。\r\n".encode("gb2312"))
)

JAPANESE = _head(
    "tanaka@example.jp", _word("会議の件", "iso-2022-jp"), "text/plain; charset=iso-2022-jp", "Content-Transfer-Encoding: 7bit"
) + ("田中です。\r\n明日の会議は十時からです。\r\n".encode("iso-2022-jp"))

QUOTES = _head(
    "editor@example.org",
    "=?windows-1252?Q?Caf=E9_=96_=93final=94?=",
    "text/html; charset=windows-1252",
    "Content-Transfer-Encoding: quoted-printable",
) + (b"<p>It=92s done =96 the =93final=94 version, at the caf=E9.=\r\n<br>Price: 20 =80</p>\r\n")

UNKNOWN_CHARSET = (
    _head("machine@example.com", "Report", "text/plain; charset=x-unknown-8bit", "Content-Transfer-Encoding: 8bit")
    + "Temperatur: 21 °C, Fühler geprüft.\r\n".encode()
)

NO_CHARSET = _head("old@example.com", "No type at all", "text/plain", "Content-Transfer-Encoding: 8bit") + "Grüße aus Köln\r\n".encode(
    "iso-8859-1"
)

HTML_ONLY = _head(
    "Billing <billing@cloud.example>", "Your invoice 2026-0042", "text/html; charset=utf-8", "Content-Transfer-Encoding: quoted-printable"
) + (
    b"<html><body><table width=3D100%><tr><td><table><tr><th>Item</th><th>Amount</th></tr>\r\n"
    b"<tr><td>Compute</td><td>=E2=82=AC&nbsp;12.40</td></tr><tr><td>Storage</td><td>&euro; 3.10</td></tr>\r\n"
    b"<tr><td><b>Total</b></td><td><b>&#8364; 15.50</b></td></tr></table></td></tr></table>\r\n"
    b'<p>Thank you,<br>your cloud<br/><a href=3D"https://cloud.example/pay?i=3D42&amp;t=3D1">Pay now</a></p></body></html>\r\n'
)

FLOWED = _head(
    "list@example.org",
    "Re: [dev] a long line",
    "text/plain; charset=utf-8; format=flowed; delsp=yes",
    "List-Id: <dev.example.org>",
    "Content-Transfer-Encoding: 7bit",
) + (
    b"This paragraph was broken by the program \r\nthat wrote it and is one line.\r\n>> the first \r\n>> question\r\n> the answer\r\n-- \r\nA. N. Other\r\n"
)

BROKEN_PARTS = _head("bad@example.com", "Truncated", 'multipart/mixed; boundary="cut"') + (
    b"--cut\r\nContent-Type: text/plain\r\n\r\nThe first part is whole.\r\n--cut\r\nContent-Type: text/html\r\n\r\n<p>The second has no e"
)

BOUNCE = _head(
    "Mail Delivery Subsystem <mailer-daemon@example.com>",
    "Delivery Status Notification (Failure)",
    'multipart/report; report-type=delivery-status; boundary="report"',
) + (
    b"--report\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\nYour message to nobody@example.com was not delivered.\r\n"
    b"--report\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example.com\r\n\r\nFinal-Recipient: rfc822; nobody@example.com\r\n"
    b"Action: failed\r\nStatus: 5.1.1\r\n\r\n--report--\r\n"
)

EMPTY = _head("silent@example.com", "", "text/plain; charset=utf-8")

LARGE = (
    _head("archive@example.com", "The whole log", "text/html; charset=utf-8", "Content-Transfer-Encoding: 8bit")
    + ("<p>" + "".join(f"Line {number} of the log, written with care.<br>\r\n" for number in range(5000)) + "</p>\r\n").encode()
)

SPAM = _head("prince@example.com", "You have won!!!", "text/plain; charset=utf-8") + b"Send us your bank details.\r\n"

RAW: tuple[tuple[str, int, str, bytes], ...] = (
    ("bill", 5, "INBOX Label_2", GB2312),
    ("kaigi", 7, "INBOX", JAPANESE),
    ("quotes", 9, "INBOX", QUOTES),
    ("unknowncharset", 10, "INBOX", UNKNOWN_CHARSET),
    ("nocharset", 11, "INBOX", NO_CHARSET),
    ("invoice", 13, "INBOX UNREAD Label_2", HTML_ONLY),
    ("flowed", 14, "INBOX", FLOWED),
    ("truncated", 15, "INBOX", BROKEN_PARTS),
    ("bounce", 16, "INBOX", BOUNCE),
    ("empty", 17, "INBOX", EMPTY),
    ("log", 18, "INBOX", LARGE),
    ("spam", 2, "SPAM UNREAD", SPAM),
)
"""Key, age in days, labels and octets."""
