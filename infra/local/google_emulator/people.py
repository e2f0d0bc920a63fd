"""The people who have an account at the emulated Google."""

from dataclasses import dataclass
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class Person:
    """An account; `sub` never changes, the e-mail address may."""

    sub: str
    email: str
    given_name: str
    family_name: str
    name: str
    time_zone: str
    """IANA's name of the zone that the calendar is kept in."""

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    @property
    def claims(self) -> dict[str, str]:
        """What the scope `profile` shows of the person."""
        picture = f"https://lh3.googleusercontent.com/a/emulated-{self.sub}"
        return {"name": self.name, "given_name": self.given_name, "family_name": self.family_name, "picture": picture}


MEI = Person("104857600000000000001", "mei.lin@example.com", "Mei", "Lin", "林美 Mei Lin", "Asia/Shanghai")
"""Has everything: calendars, mail and documents, some of them traps."""
JONAS = Person("104857600000000000002", "jonas.weber@example.com", "Jonas", "Weber", "Jonas Weber", "Europe/Berlin")
"""Has a little of his own, so that a test can tell one person's data from the other's."""

PEOPLE = (MEI, JONAS)
