//! The translation of prefixes, from its definition (RFC 6296 section 3).

use super::packet::Address;

/// A prefix: an address, and how many of its bits count.
pub(crate) type Prefix = (Address, u8);

/// Why there is no translation of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Untranslated {
    Foreign,
    NoWord,
    Anycast,
}

/// The bits of a prefix of this length.
fn mask(len: u8) -> Address {
    if len == 0 { 0 } else { Address::MAX << (128 - u32::from(len)) }
}

/// Whether the address is of the prefix.
pub(crate) fn holds(prefix: Prefix, address: Address) -> bool {
    (prefix.0 ^ address) & mask(prefix.1) == 0
}

/// The address of the prefix `to` for one of the prefix `from`.
pub(crate) fn translate(
    address: Address,
    from: Prefix,
    to: Prefix,
) -> Result<Address, Untranslated> {
    let len = from.1.max(to.1);
    // The shorter one is taken for as long as the other (section 3.1).
    let (from, to) = (from.0 & mask(from.1), to.0 & mask(to.1));
    if address & mask(len) != from {
        return Err(Untranslated::Foreign);
    }
    let moved = to | address & !mask(len);
    let places = if len <= 48 { 3..4 } else { 4..8 };
    let shift = |place: u32| (7 - place) * 16;
    let word = |place: u32| (moved >> shift(place)) as u16;
    let place = places.into_iter().find(|place| word(*place) != 0xffff);
    let place = place.ok_or(Untranslated::NoWord)?;
    // What the sum of all words has lost, the word gets (sections 3.2 and 3.6), and all ones is zero.
    let adjusted = match add(word(place), add(sum(address), !sum(moved))) {
        0xffff => 0,
        adjusted => adjusted,
    };
    let translated = moved & !(0xffff << shift(place)) | Address::from(adjusted) << shift(place);
    if len > 48 && translated as u64 == 0 {
        return Err(Untranslated::Anycast);
    }
    Ok(translated)
}

/// The one's-complement sum of the words of an address.
fn sum(address: Address) -> u16 {
    (0..8).fold(0, |sum, place| add(sum, (address >> (place * 16)) as u16))
}

fn add(a: u16, b: u16) -> u16 {
    let (sum, carry) = a.overflowing_add(b);
    sum + u16::from(carry)
}
