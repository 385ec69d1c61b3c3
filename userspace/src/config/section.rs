use std::fmt::Display;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::Report;
use super::suggest::{closest, quoted};

/// A table of the file, and how messages speak of its keys.
pub(super) struct Section<'t> {
    prefix: String,
    table: &'t DeTable<'t>,
    /// Where the table is written: its header, or the whole of an inline table.
    pub(super) span: Range<usize>,
}

impl<'t> Section<'t> {
    /// The file itself.
    pub(super) fn root(document: &'t Spanned<DeTable<'t>>) -> Self {
        Self { prefix: String::new(), table: document.get_ref(), span: 0..0 }
    }

    /// Makes messages speak of `label: key`, not of the path from the root.
    pub(super) fn labelled(mut self, label: &str) -> Self {
        self.prefix = format!("{label}: ");
        self
    }

    /// Reports every key that is neither `known` nor `planned` for a later version, and every one
    /// that is planned.
    pub(super) fn expect_keys(&self, report: &mut Report<'_>, known: &[&str], planned: &[&str]) {
        for key in self.table.keys() {
            let (name, span) = (key.get_ref().as_ref(), key.span());
            if known.contains(&name) {
                continue;
            }
            let path = format!("{}{}", self.prefix, bare_or_quoted(name));
            if planned.contains(&name) {
                report.error(&span, format!("{path} is not supported yet; remove it"));
            } else if let Some(meant) = closest(name, known.iter().chain(planned)) {
                report.error(&span, format!("{path} is not a known key; did you mean {meant}?"));
            } else {
                let known = known.join(", ");
                report.error(&span, format!("{path} is not a known key; known here: {known}"));
            }
        }
    }

    /// The value of a key, if it is given.
    pub(super) fn get(&self, key: &str) -> Option<Field<'t>> {
        let value = self.table.get(key)?;
        Some(Field {
            path: format!("{}{key}", self.prefix),
            value: value.get_ref(),
            span: value.span(),
        })
    }

    /// The value of a key that must be given; `fix` says with what.
    pub(super) fn require(
        &self,
        report: &mut Report<'_>,
        key: &str,
        fix: impl Display,
    ) -> Option<Field<'t>> {
        let field = self.get(key);
        if field.is_none() {
            report.error(&self.span, format!("{}{key} is missing; {fix}", self.prefix));
        }
        field
    }
}

/// A value of the file, and how messages speak of it.
///
/// Every reader takes the report and a `fix`. It gives the value, or reports why there is none.
pub(super) struct Field<'t> {
    path: String,
    pub(super) value: &'t DeValue<'t>,
    pub(super) span: Range<usize>,
}

impl<'t> Field<'t> {
    /// Reports that the value is wrong: `complaint` goes on from the key, as in "is 0; give 1".
    pub(super) fn error(&self, report: &mut Report<'_>, complaint: impl Display) {
        report.error(&self.span, format!("{} {complaint}", self.path));
    }

    /// Reports that the value may not do what was meant.
    pub(super) fn warn(&self, report: &mut Report<'_>, complaint: impl Display) {
        report.warn(&self.span, format!("{} {complaint}", self.path));
    }

    /// Reports that the value is of the wrong type.
    pub(super) fn wrong_type(&self, report: &mut Report<'_>, fix: impl Display) {
        let found = match self.value {
            DeValue::String(_) => "text",
            DeValue::Integer(_) | DeValue::Float(_) => "a number",
            DeValue::Boolean(true) => "true",
            DeValue::Boolean(false) => "false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        self.error(report, format_args!("is {found}; {fix}"));
    }

    /// A text.
    pub(super) fn string(&self, report: &mut Report<'_>, fix: impl Display) -> Option<&'t str> {
        let string = self.value.as_str();
        if string.is_none() {
            self.wrong_type(report, fix);
        }
        string
    }

    /// The elements of a list that has at least one.
    pub(super) fn list(
        &self,
        report: &mut Report<'_>,
        fix: impl Display,
    ) -> Option<Vec<Field<'t>>> {
        let Some(array) = self.value.as_array() else {
            self.wrong_type(report, fix);
            return None;
        };
        if array.is_empty() {
            self.error(report, format_args!("is empty; {fix}"));
            return None;
        }
        let element = |(index, value): (usize, &'t Spanned<DeValue<'t>>)| Field {
            path: format!("{}[{index}]", self.path),
            value: value.get_ref(),
            span: value.span(),
        };
        Some(array.iter().enumerate().map(element).collect())
    }

    /// A table.
    pub(super) fn table(&self, report: &mut Report<'_>, fix: impl Display) -> Option<Section<'t>> {
        let DeValue::Table(table) = self.value else {
            self.wrong_type(report, fix);
            return None;
        };
        Some(Section { prefix: format!("{}.", self.path), table, span: self.span.clone() })
    }
}

/// A key as TOML writes it.
fn bare_or_quoted(key: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if !key.is_empty() && key.len() < 40 && key.bytes().all(bare) {
        key.to_owned()
    } else {
        quoted(key)
    }
}
