//! `COMPLIANCE.md` names tests: each is there.

use std::fs;
use std::path::{Path, PathBuf};

const DOCUMENT: &str = include_str!("../COMPLIANCE.md");

/// What stands between backticks and names a test.
fn tests() -> impl Iterator<Item = (&'static str, &'static str)> {
    let quoted = DOCUMENT.split('`').skip(1).step_by(2);
    quoted.filter_map(|quoted| quoted.split_once("::")).filter(|(file, _)| *file != "file")
}

/// Where a test's file is.
fn path(file: &str) -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let is_case = ["ipv6/", "nat64/"].into_iter().any(|directory| file.starts_with(directory));
    if file.contains('/') && !is_case {
        here.join("..").join(file)
    } else {
        here.join("tests/cases").join(file).with_extension("rs")
    }
}

#[test]
#[cfg_attr(miri, ignore = "Miri reads no files")]
fn every_test_that_is_named_is_there() {
    for (file, test) in tests() {
        let path = path(file);
        let source = fs::read_to_string(&path).unwrap_or_else(|error| {
            panic!("COMPLIANCE.md names {file}::{test}, but {}: {error}", path.display())
        });
        let is_test = source
            .split("#[test]")
            .skip(1)
            .any(|after| after.trim_start().starts_with(&format!("fn {test}()")));
        assert!(is_test, "COMPLIANCE.md names {file}::{test}, which is no test there");
    }
}

/// No requirement is left out, and none is named twice.
#[test]
fn every_requirement_has_its_row() {
    let wanted = [
        ("RFC 4787", "1 2 3 3a 4 5 5a 5b 5c 6 6a 7 8 8a 9 9a 10 10a 11 12 12a 12b 13 13a 14 14a"),
        ("RFC 5382", "1 2 2a 3 3a 3b 4 4a 5 5a 6 7 8 8a 9 10"),
        (
            "RFC 5508",
            "1 1a 2 2a 3 3a 3b 3c 3d 4 4a 4b 4c 5 5a 5b 5c 6 7 7a 8 9 10a 10b 10c 10d 10e 10f 11",
        ),
    ];
    // These number none: the rows are of sections.
    let by_section = [
        ("RFC 6296", "3.1 3.2 3.3 3.4 3.5 4.1 4.2 4.3 4.3"),
        (
            "RFC 6146",
            "3.4 3.4 3.4 3.4 3.5 3.5 3.5.1 3.5.1 3.5.1.1 3.5.2 3.5.2 3.5.2 3.5.2 3.5.3 3.5.4 3.6 3.7 3.8 5.3",
        ),
        ("RFC 6052", "2.1 2.2 2.2 2.3 3.1 3.3 5.1"),
        (
            "RFC 7915",
            "1.2 1.2 1.4 4 4 4.1 4.1 4.1 4.1 4.2 4.2 4.3 4.3 4.4 4.5 4.5 4.5 5 5.1 5.1 5.1 5.1.1 5.2 5.2 5.3 5.4 5.5 5.6",
        ),
    ];
    let sections: Vec<&str> = DOCUMENT.split("\n## ").skip(1).collect();
    assert_eq!(sections.len(), wanted.len() + by_section.len());
    let wanted = wanted.map(|(rfc, rows)| (rfc, "| REQ-", rows));
    let by_section = by_section.map(|(rfc, rows)| (rfc, "| ", rows));
    let all = wanted.into_iter().chain(by_section);
    for (section, (rfc, prefix, requirements)) in sections.into_iter().zip(all) {
        assert!(section.starts_with(rfc), "{section}");
        let rows = section.lines().filter_map(|line| line.strip_prefix(prefix));
        let rows = rows.filter(|row| !row.starts_with(['|', '-']));
        let rows: Vec<&str> = rows.filter_map(|row| row.split(' ').next()).collect();
        assert_eq!(rows.join(" "), requirements, "{rfc}");
    }
}
