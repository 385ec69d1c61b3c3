//! What holds of IPv6 whatever the model says.

use pointsman_ebpf::abi::Direction;
use pointsman_ebpf::memory::sequence::Interface;
use pointsman_ebpf::memory::site6::Carriage;
use pointsman_ebpf::verdict::Verdict;

use super::model6::Model6;
use super::model6::packet::address;
use super::model6::site::is_martian;

/// Checks a packet and what has become of it.
pub(crate) fn check(
    came: Interface,
    frame: &[u8],
    verdict: Verdict,
    output: &[u8],
    model: &Model6,
) -> Result<(), String> {
    let site = &model.site;
    let (uplink, direction) = match verdict {
        Verdict::Pass(_) | Verdict::Drop(_) | Verdict::Heard => {
            let unchanged = frame == output;
            return unchanged.then_some(()).ok_or_else(|| format!("{verdict:?} and changed"));
        }
        Verdict::Answer { .. } => return Ok(()),
        Verdict::Lan { .. } => return across_lan(came, frame, output, model),
        Verdict::Forward { uplink, direction, .. } => (&site.uplinks[&uplink], direction),
    };
    let (source, destination) = (address(output, 22), address(output, 38));
    let is_lans = |address| site.prefix(address).is_some_and(|known| known.shown_by.is_none());
    // Of the LAN's own prefix, nothing is to be seen outside.
    let is_private = source >> 120 == 0xfd;
    let is_shared = uplink.carriage == Carriage::Nat66 && source == uplink.public();
    let wrong = match direction {
        Direction::Out | Direction::Hairpin if is_private => "leaves by a private address",
        Direction::Out | Direction::Hairpin if !is_shared && site.prefix(source).is_none() => {
            "leaves by a foreign address"
        }
        // But for the reset of whoever could not go on by it.
        Direction::Out if !uplink.alive && site.setup.on_failure != 1 => "leaves by a dead uplink",
        Direction::Out if site.prefix(destination).is_some() => "leaves for the LAN",
        Direction::Out | Direction::Hairpin if came != Interface::Lan => "is not of the LAN",
        Direction::In | Direction::Hairpin if site.is_own(destination) => "is for the gateway",
        Direction::In | Direction::Hairpin if !is_lans(destination) => "is for nobody of the LAN",
        Direction::In if came != uplink.interface => "came by another uplink",
        _ if is_martian(source) || is_martian(destination) => "is no router's to forward",
        _ if output[21] + 1 != frame[21] => "has another hop limit",
        _ if output.len() != frame.len() => "has another length",
        _ => return Ok(()),
    };
    Err(format!("what {wrong}: {frame:02x?}\n-> {output:02x?}"))
}

/// Checks a packet from the LAN to the LAN, of which nothing changes but the link.
fn across_lan(came: Interface, frame: &[u8], output: &[u8], model: &Model6) -> Result<(), String> {
    let prefix = model.site.prefix(address(output, 38));
    let wrong = match prefix {
        _ if came != Interface::Lan => "is not of the LAN",
        None => "leaves the LAN",
        _ if frame[12..21] != output[12..21] || frame[22..] != output[22..] => "is another one",
        _ if output[21] + 1 != frame[21] => "has another hop limit",
        _ => return Ok(()),
    };
    Err(format!("what {wrong}: {frame:02x?}\n-> {output:02x?}"))
}
