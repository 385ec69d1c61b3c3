/// How many characters of a value a message repeats.
const QUOTED_LENGTH: usize = 40;

/// A value of the file as messages repeat it: in quotes, escaped, and cut when it is long.
pub(crate) fn quoted(value: &str) -> String {
    format!("{:?}", cut(value))
}

/// The start of a value that may be very long.
pub(super) fn cut(value: &str) -> String {
    let mut shown: String = value.chars().take(QUOTED_LENGTH).collect();
    if shown.len() < value.len() {
        shown.push('…');
    }
    shown
}

/// What was probably meant by `word`, if a candidate is near enough: one slip in three characters.
pub(crate) fn closest<'c>(
    word: &str,
    candidates: impl IntoIterator<Item = &'c &'c str>,
) -> Option<&'c str> {
    let length = word.chars().count();
    if length > QUOTED_LENGTH {
        return None;
    }
    candidates
        .into_iter()
        .map(|candidate| (strsim::osa_distance(word, candidate), *candidate))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, candidate)| distance * 3 <= length.max(candidate.len()))
        .map(|(_, candidate)| candidate)
}

/// A list in prose: `"a", "b" or "c"`.
pub(super) fn alternatives(words: &[&str]) -> String {
    let mut words: Vec<String> = words.iter().copied().map(quoted).collect();
    match words.pop() {
        Some(last) if words.is_empty() => last,
        Some(last) => format!("{} or {last}", words.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_what_is_near_and_nothing_else() {
        assert_eq!(closest("wieght", &["name", "weight"]), Some("weight"));
        assert_eq!(closest("interface", &["interfaces"]), Some("interfaces"));
        assert_eq!(closest("colour", &["name", "weight"]), None);
        assert_eq!(closest("lat", &["lan"]), Some("lan"));
        assert_eq!(closest("timid", &["timer"]), None);
        assert_eq!(closest("", &["name"]), None);
        assert_eq!(closest(&"x".repeat(1 << 20), &["name"]), None);
    }

    #[test]
    fn repeats_values_safely() {
        assert_eq!(quoted("a\u{1b}[2J"), r#""a\u{1b}[2J""#);
        assert_eq!(quoted(&"ä".repeat(50)), format!("\"{}…\"", "ä".repeat(40)));
    }

    #[test]
    fn lists_in_prose() {
        assert_eq!(alternatives(&["a"]), r#""a""#);
        assert_eq!(alternatives(&["a", "b", "c"]), r#""a", "b" or "c""#);
    }
}
