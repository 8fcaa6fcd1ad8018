"""What befalls a town of instances: pauses, cuts, kills, set clocks, people with kubectl."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from dnslb.election.kubernetes_objects import JsonValue

if TYPE_CHECKING:
    from tests.election.kubernetes_town import House, Town


class Trouble:
    def __init__(self, town: Town) -> None:
        self.town = town
        self.kinds: list[Callable[[House], None]] = [
            self._cut_off,
            self._kill,
            self._resign,
            self._stop,
            self._set_wall_clock,
            self._annotate,
        ]
        if not town.plan.go:
            self.kinds.append(self._stand_still)
        if town.plan.by_hand and not town.plan.go:
            self.kinds += [self._delete, self._empty, self._shorten, self._turn_back]
            self.kinds += [self._restore, self._rename]

    def begin(self) -> None:
        self.town.after(self.town.luck.expovariate(1 / 5), self._strike)

    def _strike(self) -> None:
        town = self.town
        if town.healed:
            return
        house = town.luck.choice(town.places)
        town.luck.choice(self.kinds)(house)
        town.after(town.luck.expovariate(1 / 5), self._strike)

    def end(self) -> None:
        town = self.town
        town.healed = True
        town.note("all is well again")
        for house in town.places:
            house.cut_off = False
            if house.still:
                house.wake()
            house.start()

    # ------------------------------------------------------------------------- to an instance

    def _for(self, seconds: float, undo: Callable[[], None]) -> None:
        self.town.after(seconds, undo)

    def _cut_off(self, house: House) -> None:
        house.cut_off = True
        self.town.note(f"{house.identity} is cut off")

        def undo() -> None:
            house.cut_off = False

        self._for(self.town.luck.uniform(1, 30), undo)

    def _stand_still(self, house: House) -> None:
        if house.lives and not house.still:
            house.still = True
            self.town.note(f"{house.identity} stands still")
            self._for(self.town.luck.uniform(0.5, 25), house.wake)

    def _kill(self, house: House) -> None:
        if house.lives:
            house.kill()
            self._for(self.town.luck.uniform(0.2, 20), house.start)

    def _resign(self, house: House) -> None:
        if house.lives and not house.still:
            house.resign(10.0)

    def _stop(self, house: House) -> None:
        """SIGTERM."""
        if house.lives and not house.still:
            house.resign(9999.0)
            house.later(2.5, house.kill)
            self._for(self.town.luck.uniform(3, 20), house.start)

    def _set_wall_clock(self, house: House) -> None:
        house.clocks.wall_at += self.town.luck.choice((-3600, -5, 5, 86400))

    # ------------------------------------------------------------------------- to the Lease

    def _annotate(self, house: House) -> None:
        self.town.server.edit({})
        self.town.tell_watchers()

    def _edit(self, **changed: JsonValue) -> None:
        self.town.note(f"a person sets {changed}")
        self.town.server.edit(changed)
        self.town.tell_watchers()

    def _delete(self, house: House) -> None:
        self.town.note("a person deletes the Lease")
        self.town.server.stored = None
        self.town.tell_watchers()

    def _empty(self, house: House) -> None:
        self._edit(holderIdentity=self.town.luck.choice(("", None)))

    def _shorten(self, house: House) -> None:
        self._edit(leaseDurationSeconds=1)

    def _turn_back(self, house: House) -> None:
        self._edit(leaseTransitions=self.town.luck.choice((0, None)))

    def _rename(self, house: House) -> None:
        self._edit(holderIdentity=house.identity)

    def _restore(self, house: House) -> None:
        older = self.town.server.older
        if older:
            self._edit(**self.town.luck.choice(older))
