//! The subnets that a network may get, and how one is divided.

use std::net::Ipv4Addr;

use sha2::{Digest, Sha256};

use crate::engine::Subnet;
use crate::names::{ClusterName, NetworkKey};

/// The pool that subnets are taken from unless another is configured: 10.231.0.0/16.
pub const DEFAULT_POOL: Subnet = Subnet { base: Ipv4Addr::new(10, 231, 0, 0), prefix: 16 };

/// The smallest subnet that a network gets from the pool, as a prefix length.
const USUAL_PREFIX: u8 = 24;

/// The smallest subnet that can be divided; beyond, there is no room for two parts.
const LONGEST_PREFIX: u8 = 28;

/// How a subnet is divided: fixed addresses below, dynamic ones in the upper quarter.
///
/// Without the division the engine would give a stopped container's fixed address to whoever comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NetworkAddressing {
    /// The whole subnet.
    pub subnet: Subnet,
    /// The engine's own address on it.
    pub gateway: Ipv4Addr,
    /// The part that the engine may give dynamic addresses from.
    pub ip_range: Subnet,
}

impl NetworkAddressing {
    /// Divides a subnet; the gateway is its first address unless given. None if it is too small (longer than /28).
    #[must_use]
    pub fn divide(subnet: Subnet, gateway: Option<Ipv4Addr>) -> Option<Self> {
        if subnet.prefix > LONGEST_PREFIX {
            return None;
        }
        let base = subnet.address(dynamic_start(subnet))?;
        let gateway = gateway.or_else(|| subnet.address(1))?;
        Some(Self { subnet, gateway, ip_range: Subnet { base, prefix: subnet.prefix + 2 } })
    }
}

/// The subnets of `pool` that a network of this cluster may get, the preferred one first: those that overlap nothing
/// in `in_use` and have room for `components` fixed addresses (a /24 usually, a larger one for more than 190).
///
/// The place to begin at comes from the names, so that clusters started at the same moment rarely want the same one.
pub fn subnet_candidates<'a>(
    in_use: &'a [Subnet],
    pool: Subnet,
    cluster: &ClusterName,
    network: &NetworkKey,
    components: usize,
) -> impl Iterator<Item = NetworkAddressing> + 'a {
    let prefix = prefix_for(components).max(pool.prefix);
    let step = 1u64 << (32 - u32::from(prefix));
    let count = pool.size() / step;
    let first = place(cluster, network) % count;
    (0..count)
        .filter_map(move |n| {
            let offset = u32::try_from((first + n) % count * step).ok()?;
            Some(Subnet { base: pool.address(offset)?, prefix })
        })
        .filter(|subnet| !in_use.iter().any(|used| used.overlaps(*subnet)))
        .filter_map(|subnet| NetworkAddressing::divide(subnet, None))
}

/// The addresses of a subnet that may be given to components, ascending (see [`is_fixed`]).
pub(super) fn fixed_addresses(subnet: Subnet, gateway: Option<Ipv4Addr>) -> impl Iterator<Item = Ipv4Addr> {
    (1..dynamic_start(subnet))
        .filter_map(move |n| subnet.address(n))
        .filter(move |address| is_fixed(subnet, gateway, *address))
}

/// Whether an address may be given to a component: it is not the network's own, not the gateway, not the broadcast
/// address, and not of the dynamic quarter.
pub(super) fn is_fixed(subnet: Subnet, gateway: Option<Ipv4Addr>, address: Ipv4Addr) -> bool {
    is_host(subnet, address)
        && offset(subnet, address) < dynamic_start(subnet)
        && Some(address) != gateway.or_else(|| subnet.address(1))
}

/// Whether an address is inside and neither the network's own nor the broadcast address.
pub(super) fn is_host(subnet: Subnet, address: Ipv4Addr) -> bool {
    let offset = offset(subnet, address);
    offset > 0 && u64::from(offset) + 1 < subnet.size()
}

fn offset(subnet: Subnet, address: Ipv4Addr) -> u32 {
    u32::from(address).wrapping_sub(u32::from(subnet.base))
}

/// Where the upper quarter begins.
fn dynamic_start(subnet: Subnet) -> u32 {
    // At most 3 × 2^30: it fits.
    u32::try_from(subnet.size() / 4 * 3).unwrap_or(u32::MAX)
}

/// The longest prefix, at most /24, whose lower three quarters hold so many addresses besides the network's own and
/// the gateway.
fn prefix_for(components: usize) -> u8 {
    let fits = |prefix: u8| (1usize << (32 - prefix)) / 4 * 3 >= components.saturating_add(2);
    (9..=USUAL_PREFIX).rev().find(|prefix| fits(*prefix)).unwrap_or(8)
}

fn place(cluster: &ClusterName, network: &NetworkKey) -> u64 {
    let digest = Sha256::digest(format!("{cluster}/{network}"));
    digest.iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}
