use pointsman_ebpf::abi::Vlan;
use toml::de::DeValue;

use super::diagnostic::Report;
use super::section::Field;
use super::suggest::quoted;

const FIX: &str = "give a VLAN from 1 to 4094, such as 35, or of QinQ the outer one and the inner one, \
                   such as [\"100ad\", 35]";

/// What a service tag's VLAN ends in (IEEE 802.1ad).
const SERVICE: &str = "ad";

/// Reads the tags of an uplink's frames: a VLAN, or one within another. A number is a customer tag (IEEE
/// 802.1Q), text that ends in "ad" a service tag.
pub(super) fn read(report: &mut Report<'_>, field: &Field<'_>) -> Option<Vlan> {
    if field.value.as_array().is_none() {
        return tag(report, field);
    }
    let listed = field.list(report, FIX)?;
    match listed.as_slice() {
        [one] => tag(report, one),
        [outer, inner] => {
            let (outer, inner) = (tag(report, outer), tag(report, inner));
            inner?.within(outer?)
        }
        _ => {
            field.error(report, format_args!("has {} tags; {FIX}", listed.len()));
            None
        }
    }
}

/// Reads one tag.
fn tag(report: &mut Report<'_>, field: &Field<'_>) -> Option<Vlan> {
    let text = match field.value {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) => number.to_string(),
        _ => {
            field.wrong_type(report, FIX);
            return None;
        }
    };
    let (number, is_service) = match text.strip_suffix(SERVICE) {
        Some(number) => (number, true),
        None => (&*text, false),
    };
    let id = number.parse().ok();
    let vlan = id.and_then(if is_service { Vlan::service } else { Vlan::customer });
    if vlan.is_none() {
        field.error(report, format_args!("is {}; {FIX}", quoted(&text)));
    }
    vlan
}

/// Reads a MAC.
pub(super) fn read_mac(report: &mut Report<'_>, field: &Field<'_>) -> Option<[u8; 6]> {
    let fix = "give six octets, such as \"02:00:5e:10:00:01\"";
    let text = field.string(report, fix)?;
    let octets: Option<Vec<u8>> =
        text.split(':').map(|octet| u8::from_str_radix(octet, 16).ok()).collect();
    let mac: Option<[u8; 6]> = octets.and_then(|octets| octets.try_into().ok());
    // The lowest bit of the first octet says that it is a group's (IEEE 802 section 8.2).
    let station = mac.filter(|mac| mac[0] & 1 == 0 && *mac != [0; 6]);
    if station.is_none() {
        field.error(report, format_args!("is {}, no station's MAC; {fix}", quoted(text)));
    }
    station
}

#[cfg(test)]
mod tests {
    use super::super::tests::{complaints, config_with};
    use super::*;

    fn vlan(given: &str) -> Vlan {
        let text = format!("[[uplink]]\nname = \"lte\"\ninterface = \"wan0\"\nvlan = {given}");
        config_with(&text).uplinks[2].vlan
    }

    #[test]
    fn tags_are_read() {
        let customer = |id| Vlan::customer(id).unwrap();
        let service = |id| Vlan::service(id).unwrap();
        for (given, expected) in [
            ("35", customer(35)),
            ("\"4094\"", customer(4094)),
            ("\"100ad\"", service(100)),
            ("[7]", customer(7)),
            ("[\"100ad\", 35]", customer(35).within(service(100)).unwrap()),
            ("[100, 35]", customer(35).within(customer(100)).unwrap()),
        ] {
            assert_eq!(vlan(given), expected, "{given}");
        }
    }

    #[test]
    fn what_is_no_vlan_is_refused() {
        let complaints_of = |given: &str| {
            complaints(&format!("[[uplink]]\nname = \"lte\"\ninterface = \"wan2\"\nvlan = {given}"))
        };
        for (given, at, found) in [
            ("0", "8: uplink \"lte\": vlan", "is \"0\""),
            ("4095", "8: uplink \"lte\": vlan", "is \"4095\""),
            ("\"35q\"", "8: uplink \"lte\": vlan", "is \"35q\""),
            ("true", "8: uplink \"lte\": vlan", "is true"),
            ("[1, 2, 3]", "8: uplink \"lte\": vlan", "has 3 tags"),
            ("[1, -2]", "12: uplink \"lte\": vlan[1]", "is \"-2\""),
        ] {
            assert_eq!(complaints_of(given), [format!("12:{at} {found}; {FIX}")]);
        }
        let twice = "[[uplink]]\nname = \"lte\"\ninterface = \"wan0\"\nvlan = 35\n\
                     [[uplink]]\nname = \"sat\"\ninterface = \"wan0\"\nvlan = 35";
        assert_eq!(
            complaints(twice),
            ["15:13: uplink \"sat\": interface is \"wan0\" with this vlan, which uplink \"lte\" \
              has already; give each interface once"]
        );
    }

    #[test]
    fn a_mac_is_a_station_s() {
        let complaints_of = |given: &str| {
            complaints(&format!(
                "[[uplink]]\nname = \"lte\"\ninterface = \"wan2\"\ngateway_mac = \"{given}\""
            ))
        };
        assert_eq!(complaints_of("02:00:5e:10:00:fF"), [""; 0]);
        for given in ["", "02:00:5e:10:00", "02:00:5e:10:00:1g", "01:00:5e:10:00:01", "0:0:0:0:0:0"]
        {
            let fix = "give six octets, such as \"02:00:5e:10:00:01\"";
            assert_eq!(
                complaints_of(given),
                [format!(
                    "12:15: uplink \"lte\": gateway_mac is \"{given}\", no station's MAC; {fix}"
                )]
            );
        }
    }
}
