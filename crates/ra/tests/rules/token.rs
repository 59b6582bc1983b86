//! Which tokens are made.

use crate::rows::*;
use std::time::Duration;
use touchmark_journal::{IdentityKind, Reach, TokenSubject};
use touchmark_ra::{TokenFault, TokenOrder, create_token};

fn order(kind: IdentityKind, hosts: &[&str]) -> TokenOrder {
    TokenOrder {
        scope: scope(),
        kind,
        subject: TokenSubject::Named(word("gateway-01")),
        uses: 1,
        lifetime: Duration::from_secs(60),
        model: None,
        hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
        roles: None,
        reach: Reach::Organisation,
        known: None,
    }
}

fn made(order: TokenOrder) -> Result<(), TokenFault> {
    create_token(mandate(order), [0; 32], now(), [0; 26]).map(|_| ())
}

#[test]
fn a_host_is_an_address_or_a_dns_name_that_a_certificate_may_carry() {
    let label = "a".repeat(63);
    let long = format!("{label}.{label}.{label}.{}", "a".repeat(61));
    let too_long = format!("{label}.{label}.{label}.{}", "a".repeat(62));
    let long_label = "a".repeat(64);
    let rows = [
        ("one label", "localhost", true),
        ("a name", "gw-01.plant.example.com", true),
        ("digits first", "3com.example", true),
        ("an IPv4 address", "192.0.2.1", true),
        ("an IPv6 address", "2001:db8::1", true),
        ("a label of 63", label.as_str(), true),
        ("253 octets", long.as_str(), true),
        ("254 octets", too_long.as_str(), false),
        ("a label of 64", long_label.as_str(), false),
        ("nothing", "", false),
        ("a wildcard", "*.example.com", false),
        ("upper case", "Gateway.example.com", false),
        ("an underscore", "gw_01.example.com", false),
        ("a space", "gw 01", false),
        ("an empty label", "gw..example.com", false),
        ("the root's dot", "gw.example.com.", false),
        ("a hyphen first", "-gw.example.com", false),
        ("a hyphen last", "gw-.example.com", false),
        ("not ASCII", "gäteway.example.com", false),
        ("a port", "gw.example.com:8883", false),
        ("a URL", "https://gw.example.com", false),
        ("an address that is none", "192.0.2.300", false),
        ("a NUL", "gw\0.example.com", false),
    ];
    for (what, host, good) in rows {
        let expected = if good { Ok(()) } else { Err(TokenFault::Host { host: host.to_owned() }) };
        assert_eq!(made(order(IdentityKind::Service, &[host])), expected, "{what}");
        let among = made(order(IdentityKind::Service, &["localhost", host]));
        assert_eq!(among, expected, "{what}, after a good one");
    }
}

#[test]
fn only_services_have_hosts_and_not_too_many() {
    let many = ["localhost"; 17];
    let rows = [
        ("a service with 16", IdentityKind::Service, &many[..16], true),
        ("a service with 17", IdentityKind::Service, &many[..], false),
        ("an operator without", IdentityKind::Operator, &many[..0], true),
        ("an operator with one", IdentityKind::Operator, &many[..1], false),
        ("a device with one", IdentityKind::Operational, &many[..1], false),
    ];
    for (what, kind, hosts, good) in rows {
        let expected = if good { Ok(()) } else { Err(TokenFault::Hosts) };
        assert_eq!(made(order(kind, hosts)), expected, "{what}");
    }
}
