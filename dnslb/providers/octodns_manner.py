"""How octoDNS provider classes write: what was read in the source of each, as one table. Pure.

octoDNS hands a class a plan of changes; what the class makes of it is the class's own affair.
Three manners matter here, from harmless to dangerous:

    rrset   only what the plan changes, and no RRset is ever missing meanwhile
    gap     only what the plan changes, but the old records go before the new ones come: for that
            moment the name has no address, which resolvers may remember for hours (RFC 2308)
    zone    the zone as a whole, from what was read before: what others change meanwhile is lost

Law: a class that is not in the table may do anything, so it counts as the worst.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from dnslb.errors import ProviderRefusal

Manner = Literal["rrset", "gap", "zone"]
MANNERS: tuple[Manner, ...] = ("rrset", "gap", "zone")


class Known(NamedTuple):
    """``manner`` None: as a target the class reads nothing, so it would wipe the zone. ``unless``:
    a setting with which it writes per RRset all the same."""

    manner: Manner | None
    version: str
    unless: tuple[str, str] | None = None


KNOWN: dict[str, Known] = {
    "octodns.YamlProvider": Known("zone", "1.22.0"),
    "octodns_autodns.AutoDNSProvider": Known("gap", "0.0.2"),
    "octodns_azure.AzureBaseProvider": Known("rrset", "1.2.0"),
    "octodns_bind.Rfc2136Provider": Known("rrset", "1.1.0"),
    "octodns_bind.ZoneFileProvider": Known(None, "1.1.0"),
    "octodns_bunny.BunnyProvider": Known("gap", "1.0.0"),
    "octodns_cloudflare.CloudflareProvider": Known("rrset", "1.2.0"),
    "octodns_constellix.ConstellixProvider": Known("gap", "1.0.1"),
    "octodns_desec.DesecProvider": Known("rrset", "1.3.0"),
    "octodns_digitalocean.DigitalOceanProvider": Known("gap", "1.0.1"),
    "octodns_dnsimple.DnsimpleProvider": Known("gap", "1.0.1"),
    "octodns_dnsmadeeasy.DnsMadeEasyProvider": Known("gap", "1.0.1"),
    "octodns_easydns.EasyDnsProvider": Known("gap", "1.0.1"),
    "octodns_edgedns.AkamaiProvider": Known("rrset", "1.1.0"),
    "octodns_gandi.GandiProvider": Known("gap", "1.2.0"),
    "octodns_gcore._BaseProvider": Known("rrset", "1.0.0"),
    "octodns_googlecloud.GoogleCloudProvider": Known("rrset", "1.1.0"),
    "octodns_hetzner.HetznerProvider": Known("gap", "2.0.0", ("backend", "hcloud")),
    "octodns_ns1.Ns1Provider": Known("rrset", "1.0.2"),
    "octodns_ovh.OvhProvider": Known("gap", "1.2.0"),
    "octodns_powerdns.PowerDnsBaseProvider": Known("rrset", "1.2.0"),
    "octodns_rackspace.RackspaceProvider": Known("gap", "1.0.0"),
    "octodns_route53.Route53Provider": Known("rrset", "1.3.1"),
    "octodns_scaleway.ScalewayProvider": Known("rrset", "0.0.4"),
    "octodns_transip.TransipProvider": Known("zone", "1.0.1"),
    "octodns_ultra.UltraProvider": Known("rrset", "1.1.3"),
}
"""By package and the class whose ``_apply`` was read, with the version that it was read in."""

_DANGER: dict[Manner, str] = {
    "gap": (
        "removes the old records of a name before it writes the new ones, so at each change the "
        "name has no address for a moment, and resolvers may remember that for hours"
    ),
    "zone": (
        "writes the whole zone from what it read before, so what others change meanwhile is lost"
    ),
}


def check_manner(name: str, writer: str, settings: Mapping[str, object], accepted: Manner) -> None:
    """``writer``: package and class that has the ``_apply`` of the class ``name``. Raises
    `ProviderRefusal` when it writes in a manner that nobody accepted."""
    known = KNOWN.get(writer)
    if known is None:
        if accepted != "zone":
            raise ProviderRefusal(
                f"How {name} writes is not known here; it might rewrite whole zones and lose what "
                f"others change meanwhile. Read the _apply of {writer}; if you accept what it "
                'does, set dnslb-accept-writes = "zone" in [octodns].'
            )
        return
    if known.manner is None:
        raise ProviderRefusal(
            f"{name} takes every zone that it is to write for empty, so it would wipe it: it is "
            "never used. For zone files there is '-provider file'."
        )
    if MANNERS.index(known.manner) <= MANNERS.index(accepted):
        return
    hint = ""
    if known.unless is not None:
        key, value = known.unless
        if settings.get(key) == value:
            return
        hint = f' {key} = "{value}" in [octodns] avoids it.'
    raise ProviderRefusal(
        f"{name} {_DANGER[known.manner]}.{hint} If you accept that, set dnslb-accept-writes = "
        f'"{known.manner}" in [octodns].'
    )
