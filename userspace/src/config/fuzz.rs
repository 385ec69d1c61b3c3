//! Whatever the text is: a configuration that holds, or errors; never a panic.

use proptest::prelude::*;

use super::tests::EXAMPLE;
use super::*;

/// Reads a text that may be anything, and shows what is said about it.
fn survive(text: &str) {
    match parse("p.toml", text) {
        Ok((config, _)) => {
            assert!(!config.uplinks.is_empty() && !config.lan.interfaces.is_empty());
            let mut used: Vec<usize> = config.group.tiers.into_iter().flatten().collect();
            used.sort_unstable();
            assert!(used.windows(2).all(|pair| pair[0] < pair[1]));
            assert!(used.iter().all(|index| *index < config.uplinks.len()));
            for ipv6 in config.uplinks.iter().flat_map(|uplink| &uplink.ipv6) {
                let shares_address = ipv6.mode == Ipv6Mode::Nat66;
                let expected = if shares_address { 0..=0 } else { 1..=4 };
                assert!(expected.contains(&ipv6.prefixes.len()));
                assert!(shares_address || ipv6.address.is_none());
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// A value that fits no key, or only some.
fn any_value() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| format!("{number:?}")),
        "[a-z0-9. -]{0,20}".prop_map(|text| format!("\"{text}\"")),
        "\\PC{0,20}".prop_map(|text| format!("'{text}'")),
        Just("\"99999999999999999999y\"".to_owned()),
        "[0-9a-f:]{0,9}::[0-9a-f]{0,4}(/[0-9]{1,3})?".prop_map(|prefix| format!("\"{prefix}\"")),
        Just("[[], [[]], [\"fiber\"]]".to_owned()),
        Just("{ a.b = {} }".to_owned()),
        Just("1979-05-27T07:32:00Z".to_owned()),
    ]
}

proptest! {
    #[test]
    fn random_text_never_panics(text in any::<String>()) {
        survive(&text);
    }

    #[test]
    fn text_of_toml_pieces_never_panics(
        text in "([\\[\\]{}=,.\"'#\\\\ \t\r\n]|lan|uplink|name|health|[0-9]|é|\u{feff}){0,60}"
    ) {
        survive(&text);
    }

    #[test]
    fn a_mutated_example_never_panics(
        at in 0..EXAMPLE.len(), length in 0..40_usize, with in ".{0,5}"
    ) {
        let start = EXAMPLE.floor_char_boundary(at);
        let end = EXAMPLE.ceil_char_boundary((start + length).min(EXAMPLE.len()));
        survive(&format!("{}{with}{}", &EXAMPLE[..start], &EXAMPLE[end..]));
    }

    #[test]
    fn another_value_never_panics(line in 0..EXAMPLE.lines().count(), value in any_value()) {
        let changed: Vec<String> = EXAMPLE
            .lines()
            .enumerate()
            .map(|(index, text)| match text.split_once('=') {
                Some((key, _)) if index == line => format!("{key}= {value}"),
                _ => text.to_owned(),
            })
            .collect();
        survive(&changed.join("\n"));
    }
}

#[test]
fn deep_nesting_is_an_error() {
    for (open, close) in [("[", "]"), ("{ a = ", "}")] {
        let depth = 20_000;
        survive(&format!("lan = {}1{}", open.repeat(depth), close.repeat(depth)));
    }
    survive(&format!("lan{} = 1", ".a".repeat(50_000)));
    survive(&format!("[lan{}]", ".a".repeat(50_000)));
}
