//! Which addresses events may be sent to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::Deserialize;

/// Where endpoints may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Networks {
    /// On the public Internet.
    Public,
    /// There, and on the machine itself, for development.
    Loopback,
    /// Anywhere, networks of the operator's own too.
    Any,
}

impl Networks {
    /// Whether events may be sent to this address.
    pub fn allow(self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        match self {
            Networks::Public => is_public(address),
            Networks::Loopback => is_public(address) || address.is_loopback(),
            Networks::Any => !address.is_unspecified() && !address.is_multicast(),
        }
    }

    /// Whether events may go without encryption: they may where some addresses are the operator's own.
    pub fn allow_plain(self) -> bool {
        self != Networks::Public
    }
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// By the registry of special-purpose addresses (RFC 6890 and after).
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = match (a, b, c) {
        // This network, private, loopback, multicast and all that is reserved beyond.
        (0 | 10 | 127 | 224.., _, _) => true,
        // Shared by carriers.
        (100, 64..128, _) => true,
        // Link-local, where clouds serve machines their secrets.
        (169, 254, _) => true,
        (172, 16..32, _) => true,
        (192, 168, _) => true,
        // Protocol assignments, documentation, relays, benchmarks.
        (192, 0, 0 | 2) | (192, 88, 99) | (198, 18..20, _) | (198, 51, 100) | (203, 0, 113) => true,
        _ => false,
    };
    !special
}

/// Global unicast only, and of that nothing that hides an address of the older kind that is not public.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let parts = address.segments();
    let inner = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match parts {
        // NAT64.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => inner(high, low),
        // 6to4.
        [0x2002, high, low, ..] => inner(high, low),
        // Protocol assignments (Teredo among them) and documentation.
        [0x2001, 0..0x200, ..] | [0x2001, 0xdb8, ..] | [0x3fff, 0..0x1000, ..] => false,
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_public_is_reached_unless_more_is_allowed() {
        let check = |text: &str, expected: [bool; 3]| {
            let address = text.parse().unwrap();
            let all = [Networks::Public, Networks::Loopback, Networks::Any];
            assert_eq!(
                all.map(|networks| networks.allow(address)),
                expected,
                "{text}"
            );
        };
        for public in [
            "1.1.1.1",
            "172.15.0.1",
            "192.0.1.1",
            "100.128.0.1",
            "2606:4700::1",
            "64:ff9b::101:101",
        ] {
            check(public, [true, true, true]);
        }
        for own in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            check(own, [false, true, true]);
        }
        for private in [
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "fe80::1",
            "fd00::1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "2002:a00:1::1",
            "2001:db8::1",
            "2001::1",
            "198.18.0.1",
            "192.0.0.8",
            "240.0.0.1",
            "255.255.255.255",
        ] {
            check(private, [false, false, true]);
        }
        for nowhere in ["0.0.0.0", "::", "224.0.0.1", "ff02::1"] {
            check(nowhere, [false, false, false]);
        }
    }
}
