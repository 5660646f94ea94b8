//! Which addresses a repository may be at.
//!
//! Link-local ones are where clouds answer with the machine's own credentials. No Git server lives
//! there, so whatever a URL or a name server says, nothing is asked there. Other private ranges
//! are where in-house servers are.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Whether `address` is one that nothing is asked at.
pub(super) fn is_forbidden(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local() || address == AWS_METADATA,
    }
}

/// The one metadata service that has an address of its own.
const AWS_METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254);

/// The system's name resolution without forbidden addresses.
#[derive(Debug)]
pub(super) struct Resolver;

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let look_up = move || (name.as_str(), 0).to_socket_addrs();
            let found = tokio::task::spawn_blocking(look_up).await??;
            let (forbidden, allowed): (Vec<SocketAddr>, Vec<SocketAddr>) =
                found.partition(|address| is_forbidden(address.ip()));
            if allowed.is_empty() && !forbidden.is_empty() {
                return Err("the host has a link-local address, which is never asked".into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_services_are_forbidden_and_private_networks_are_not() {
        for address in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "fe80::1",
            "fd00:ec2::254",
        ] {
            assert!(
                is_forbidden(address.parse().expect("an address")),
                "{address}"
            );
        }
        for address in ["10.0.0.1", "127.0.0.1", "::1", "fd00::1", "192.0.2.1"] {
            assert!(
                !is_forbidden(address.parse().expect("an address")),
                "{address}"
            );
        }
    }
}
