use super::desired::{Host, Offloads};
use super::diagnostic::Report;
use super::section::Section;
use super::settings::optional_table;

const OFFLOADS: &[(&str, Offloads)] = &[("warn", Offloads::Warn), ("set", Offloads::Set)];

/// Reads `[host]`.
pub(super) fn read(report: &mut Report<'_>, root: &Section<'_>) -> Host {
    let offloads = optional_table(report, root, "host").and_then(|section| {
        section.expect_keys(report, &["offloads"], &[]);
        section.get("offloads")?.choice(report, OFFLOADS, &[])
    });
    Host { offloads: offloads.unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{complaints, config_with};
    use super::*;

    #[test]
    fn the_host_is_left_alone_unless_asked_for() {
        assert_eq!(config_with("").host.offloads, Offloads::Warn);
        assert_eq!(config_with("[host]").host.offloads, Offloads::Warn);
        assert_eq!(config_with("[host]\noffloads = \"warn\"").host.offloads, Offloads::Warn);
        assert_eq!(config_with("[host]\noffloads = \"set\"").host.offloads, Offloads::Set);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (lines, complaint) in [
            (
                "[host]\noffloads = \"of\"",
                "10:12: host.offloads is \"of\"; give \"warn\" or \"set\"",
            ),
            ("[host]\noffloads = true", "10:12: host.offloads is true; give \"warn\" or \"set\""),
            (
                "[host]\noffload = \"set\"",
                "10:1: host.offload is not a known key; did you mean offloads?",
            ),
        ] {
            assert_eq!(complaints(lines), [complaint]);
        }
    }
}
