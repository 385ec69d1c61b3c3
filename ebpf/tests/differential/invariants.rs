//! What holds whatever the model says.

use pointsman_ebpf::abi::Direction;
use pointsman_ebpf::memory::sequence::Interface;
use pointsman_ebpf::verdict::Verdict;

use super::model::Model;
use super::model::packet::address;

/// Whether it tells the other side that a connection is over, where such are reset.
fn is_told(model: &Model, output: &[u8]) -> bool {
    const RST: u8 = 4;
    let flags = output.get(14 + usize::from(output[14] & 15) * 4 + 13);
    model.site.setup.on_failure == 1 && output[23] == 6 && flags.is_some_and(|f| f & RST != 0)
}

/// Checks a packet and what has become of it.
pub(crate) fn check(
    came: Interface,
    frame: &[u8],
    verdict: Verdict,
    output: &[u8],
    model: &Model,
) -> Result<(), String> {
    let (uplink, direction) = match verdict {
        Verdict::Pass(_) | Verdict::Drop(_) | Verdict::Heard => {
            let unchanged = frame == output;
            return unchanged.then_some(()).ok_or_else(|| format!("{verdict:?} and changed"));
        }
        Verdict::Lan { .. } => {
            let knows = came == Interface::Lan && model.site.is_routed(address(output, 30));
            return if knows { Ok(()) } else { Err("from the LAN to the LAN".to_owned()) };
        }
        Verdict::Answer { .. } => return Ok(()),
        Verdict::Forward { uplink, direction, .. } => (&model.site.uplinks[&uplink], direction),
    };
    let (source, destination) = (address(output, 26), address(output, 30));
    // What is routed is as it was: from an error's sender too, unless that is a private one.
    let routed = uplink.routes && model.site.is_routed(source);
    let wrong = match direction {
        // Nothing private leaks, and nothing leaves by an uplink that cannot send.
        Direction::Out if !uplink.translates && !routed => "leaves untranslated",
        Direction::Hairpin if model.site.is_routed(source) && came == Interface::Lan => {
            return Ok(());
        }
        Direction::Out | Direction::Hairpin if !uplink.addresses.contains(&source) && !routed => {
            "leaves by a foreign address"
        }
        // But for the reset of whoever could not go on by it.
        Direction::Out if !uplink.alive && !is_told(model, output) => "leaves by a dead uplink",
        Direction::Out | Direction::Hairpin if came != Interface::Lan => "is not of the LAN",
        Direction::In | Direction::Hairpin if model.site.owner(destination).is_some() => {
            "is for the gateway"
        }
        Direction::In if came != uplink.interface => "came by another uplink",
        _ if output[22] + 1 != frame[22] => "has another time to live",
        _ if output.len() != frame.len() => "has another length",
        _ => return Ok(()),
    };
    Err(format!("what {wrong}: {frame:02x?}\n-> {output:02x?}"))
}
