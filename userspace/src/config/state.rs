use std::path::{Path, PathBuf};

use toml::de::DeValue;

use super::desired::State;
use super::diagnostic::Report;
use super::section::{Field, Section};
use super::settings::optional_table;
use super::suggest::quoted;

const DEFAULT_PINS: &str = "/sys/fs/bpf/pointsman";
const DEFAULT_DIRECTORY: &str = "/var/lib/pointsman";
const PINS: &str = "give the absolute path of a directory on a BPF file system, such as \
                    \"/sys/fs/bpf/pointsman\", or false to keep nothing";

/// Reads `[state]`.
pub(super) fn read(report: &mut Report<'_>, root: &Section<'_>) -> State {
    let mut state = State {
        pins: Some(PathBuf::from(DEFAULT_PINS)),
        directory: PathBuf::from(DEFAULT_DIRECTORY),
    };
    if let Some(section) = optional_table(report, root, "state") {
        section.expect_keys(report, &["pins", "directory"], &[]);
        let directory = section.get("directory");
        if let Some(directory) = directory.and_then(|field| read_directory(report, &field)) {
            state.directory = directory;
        }
        if let Some(pins) = section.get("pins").and_then(|field| read_pins(report, &field)) {
            state.pins = pins;
        }
    }
    state
}

fn read_pins(report: &mut Report<'_>, field: &Field<'_>) -> Option<Option<PathBuf>> {
    if let DeValue::Boolean(false) = field.value {
        return Some(None);
    }
    let text = field.string(report, PINS)?;
    let path = Path::new(text);
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    if !path.is_absolute() || text.contains('\0') {
        field.error(report, format_args!("is {}, not an absolute path; {PINS}", quoted(text)));
    } else if name.contains(&b'.') {
        let shown = quoted(text);
        // The kernel reserves them (`bpf_lookup` in kernel/bpf/inode.c).
        field.error(
            report,
            format_args!("is {shown}, and names on a BPF file system have no dots; {PINS}"),
        );
    }
    Some(Some(path.to_owned()))
}

fn read_directory(report: &mut Report<'_>, field: &Field<'_>) -> Option<PathBuf> {
    let fix = "give the absolute path of a directory";
    let text = field.string(report, fix)?;
    let path = Path::new(text);
    if !path.is_absolute() || text.contains('\0') {
        field.error(report, format_args!("is {}, not an absolute path; {fix}", quoted(text)));
    }
    Some(path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{complaints, config_with};
    use super::*;

    #[test]
    fn pins_are_kept_unless_they_are_not_to_be() {
        let pins = |lines: &str| config_with(lines).state.pins;
        assert_eq!(pins(""), Some(PathBuf::from(DEFAULT_PINS)));
        assert_eq!(pins("[state]"), Some(PathBuf::from(DEFAULT_PINS)));
        assert_eq!(pins("[state]\npins = \"/bpf/site\""), Some(PathBuf::from("/bpf/site")));
        assert_eq!(pins("[state]\npins = false"), None);
    }

    #[test]
    fn the_directory_is_given_or_the_usual_one() {
        let directory = |lines| config_with(lines).state.directory;
        assert_eq!(directory(""), Path::new("/var/lib/pointsman"));
        assert_eq!(directory("[state]"), Path::new("/var/lib/pointsman"));
        assert_eq!(directory("[state]\ndirectory = \"/tmp/state\""), Path::new("/tmp/state"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (lines, complaint) in [
            ("pins = \"bpf\"", "10:8: state.pins is \"bpf\", not an absolute path"),
            ("pins = \"/sys/fs/bpf/a.b\"", "10:8: state.pins is \"/sys/fs/bpf/a.b\", and names on"),
            ("directory = \"state\"", "10:13: state.directory is \"state\", not an absolute path"),
            (
                "directory = \"/a\\u0000b\"",
                "10:13: state.directory is \"/a\\0b\", not an absolute path",
            ),
            ("directory = []", "10:13: state.directory is a list"),
            ("pins = true", "10:8: state.pins is true"),
            ("pin = false", "10:1: state.pin is not a known key; did you mean pins?"),
        ] {
            let complaints = complaints(&format!("[state]\n{lines}"));
            assert!(complaints[0].starts_with(complaint), "{complaints:?}");
            assert_eq!(complaints.len(), 1, "{complaints:?}");
        }
    }
}
