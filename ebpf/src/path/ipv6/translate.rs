//! 5. Which address an uplink makes of another.

use crate::abi::{Ipv6, Ipv6Mode, Untranslated, Uplink6};
use crate::verdict::DropReason;

/// The address that the uplink shows for one of the LAN.
///
/// # Errors
/// Where there is none.
#[inline(always)]
pub(super) fn external(uplink: &Uplink6, address: Ipv6) -> Result<Ipv6, DropReason> {
    if uplink.mode == Ipv6Mode::Nptv6 as u8 {
        return uplink.translation.outbound(address).map_err(|why| match why {
            Untranslated::Foreign => DropReason::ForeignSource,
            other => untranslated(other),
        });
    }
    if uplink.mode == Ipv6Mode::Nat66 as u8 {
        return Ok(uplink.address);
    }
    of_mode(uplink, address)
}

/// The address in the LAN that the uplink's stands for; where that is shared, the uplink's itself.
///
/// # Errors
/// Where there is none.
#[inline(always)]
pub(super) fn internal(uplink: &Uplink6, address: Ipv6) -> Result<Ipv6, DropReason> {
    if uplink.mode == Ipv6Mode::Nptv6 as u8 {
        return uplink.translation.inbound(address).map_err(untranslated);
    }
    if uplink.mode == Ipv6Mode::Nat66 as u8 && address != uplink.address {
        return Err(DropReason::Unsolicited);
    }
    of_mode(uplink, address)
}

#[inline(always)]
fn of_mode(uplink: &Uplink6, address: Ipv6) -> Result<Ipv6, DropReason> {
    if uplink.mode == Ipv6Mode::None as u8 { Err(DropReason::Ipv6) } else { Ok(address) }
}

#[inline(always)]
fn untranslated(why: Untranslated) -> DropReason {
    match why {
        Untranslated::Foreign => DropReason::Unsolicited,
        Untranslated::NoWord => DropReason::NoTranslation,
        Untranslated::Anycast => DropReason::AnycastTranslation,
    }
}
