use pointsman_ebpf::abi::Vlan;

use super::diagnostic::Report;
use super::section::Field;
use super::suggest::quoted;

/// The longest name of an interface, in bytes: the kernel's `IFNAMSIZ` less the NUL.
const INTERFACE_LENGTH: usize = 15;

/// Which interface is whose, to find one that is given twice.
#[derive(Default)]
pub(super) struct Interfaces {
    owners: Vec<(String, Vlan, String)>,
}

impl Interfaces {
    /// Reads the name of an interface that `owner` alone is to have, with these tags.
    pub(super) fn read(
        &mut self,
        report: &mut Report<'_>,
        field: &Field<'_>,
        vlan: Vlan,
        owner: &str,
    ) -> Option<String> {
        let name = field.string(report, "give the interface's name as `ip link` shows it")?;
        let shown = quoted(name);
        if let Some(complaint) = complaint(name) {
            field.error(
                report,
                format_args!("is {shown}, {complaint}; give a name as `ip link` shows it"),
            );
            return None;
        }
        let same = |(taken, tags, _): &&(String, Vlan, String)| taken == name && *tags == vlan;
        if let Some((.., other)) = self.owners.iter().find(same) {
            let with = if vlan == Vlan::NONE { "" } else { " with this vlan" };
            field.error(
                report,
                format_args!(
                    "is {shown}{with}, which {other} has already; give each interface once"
                ),
            );
            return None;
        }
        self.owners.push((name.to_owned(), vlan, owner.to_owned()));
        Some(name.to_owned())
    }
}

/// Why the kernel has no interface of this name (`dev_valid_name`), if so.
fn complaint(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("which is empty")
    } else if name.len() > INTERFACE_LENGTH {
        Some("longer than the 15 bytes of an interface's name")
    } else if matches!(name, "." | "..") {
        Some("not a name that an interface can have")
    } else if name.chars().any(|c| matches!(c, '/' | ':') || c.is_whitespace() || c.is_control()) {
        Some("with a character that no interface's name has")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{complaints, complaints_about};

    #[test]
    fn each_has_one_owner() {
        assert_eq!(
            complaints("[[uplink]]\nname = \"lte\"\ninterface = \"wan0\""),
            ["11:13: uplink \"lte\": interface is \"wan0\", which uplink \"fiber\" has already; \
                 give each interface once"]
        );
        assert_eq!(
            complaints("[[uplink]]\nname = \"lte\"\ninterface = \"lan0\""),
            ["11:13: uplink \"lte\": interface is \"lan0\", which the LAN has already; give \
                 each interface once"]
        );
        assert_eq!(
            complaints_about(
                "lan.interfaces = [\"a\", \"a\"]\n[[uplink]]\nname = \"x\"\ninterface = \"b\"\n"
            ),
            ["1:24: lan.interfaces[1] is \"a\", which the LAN has already; give each \
                 interface once"]
        );
    }

    #[test]
    fn names_are_those_that_the_kernel_takes() {
        for (given, found) in [
            ("", "which is empty"),
            ("interface-of-16b", "longer than the 15 bytes of an interface's name"),
            ("eth/0", "with a character that no interface's name has"),
            ("eth0:1", "with a character that no interface's name has"),
            ("eth 0", "with a character that no interface's name has"),
            ("..", "not a name that an interface can have"),
        ] {
            assert_eq!(
                complaints(&format!("[[uplink]]\nname = \"lte\"\ninterface = \"{given}\"")),
                [format!(
                    "11:13: uplink \"lte\": interface is \"{given}\", {found}; give a name as \
                     `ip link` shows it"
                )]
            );
        }
        assert_eq!(
            complaints("[[uplink]]\nname = \"lte\"\ninterface = \"fifteen-bytes-x\""),
            [""; 0]
        );
        assert_eq!(
            complaints("[[uplink]]\nname = \"lte\"\ninterface = 3"),
            ["11:13: uplink \"lte\": interface is a number; give the interface's name as \
                 `ip link` shows it"]
        );
    }
}
