use std::fmt;
use std::io;
use std::ops::Range;
use std::path::PathBuf;

/// How many characters of a source line are shown.
const EXCERPT_WIDTH: usize = 120;

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read at all.
    #[error("{}: {reason}; {}", path.display(), fix_for(reason))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: io::Error,
    },
    /// The text is wrong. Holds an error at least, and the warnings too, in the order of the file.
    #[error("{}", Rendered(.0))]
    Invalid(Vec<Diagnostic>),
}

fn fix_for(reason: &io::Error) -> &'static str {
    match reason.kind() {
        io::ErrorKind::NotFound => "write the configuration there, or give the path of another",
        io::ErrorKind::PermissionDenied => "run as a user that may read it",
        io::ErrorKind::InvalidData => "save the file as UTF-8 text",
        io::ErrorKind::FileTooLarge => "give the path of a Pointsman configuration",
        _ => "give the path of a file that can be read",
    }
}

/// Whether a [`Diagnostic`] keeps the configuration from being used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// There is no configuration until this is put right.
    Error,
    /// The configuration holds, but may not be what was meant.
    Warning,
}

/// One thing to say about a place in a configuration file. Displayed as a compiler does: place,
/// message, and the source line with the place marked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Whether it is an error.
    pub severity: Severity,
    /// The file's name as it was given.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
    /// The key, what is wrong with it, and the fix.
    pub message: String,
    excerpt: Excerpt,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, message, excerpt, .. } = self;
        let severity = match self.severity {
            Severity::Error => "",
            Severity::Warning => "warning: ",
        };
        writeln!(f, "{file}:{line}:{column}: {severity}{message}")?;
        writeln!(f, "{line:>5} | {}", excerpt.text)?;
        write!(f, "      | {}", excerpt.marks)
    }
}

/// A source line as it is shown, and what marks the place below it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Excerpt {
    text: String,
    marks: String,
}

impl Excerpt {
    /// Shows `line` and marks `width` characters from `column` (from 0) on. A long line is cut to a
    /// window around the place.
    fn new(line: &str, column: usize, width: usize) -> Self {
        let fits = column + width <= EXCERPT_WIDTH;
        let first = if fits { 0 } else { column.saturating_sub(EXCERPT_WIDTH / 2) };
        let text: String = line.chars().skip(first).take(EXCERPT_WIDTH).map(printable).collect();
        // A tab stays a tab below, so that the mark stands under its place at any tab width.
        let mut marks: String = text
            .chars()
            .take(column - first)
            .map(|character| if character == '\t' { '\t' } else { ' ' })
            .collect();
        let room = text.chars().count().saturating_sub(column - first);
        marks.extend(std::iter::repeat_n('^', width.min(room).max(1)));
        Self { text, marks }
    }
}

/// Keeps what is in the file from steering the terminal.
fn printable(character: char) -> char {
    if character.is_control() && character != '\t' {
        char::REPLACEMENT_CHARACTER
    } else {
        character
    }
}

/// Diagnostics one after another, and how many there are.
struct Rendered<'d>(&'d [Diagnostic]);

impl fmt::Display for Rendered<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for diagnostic in self.0 {
            writeln!(f, "{diagnostic}")?;
        }
        let errors = self.0.iter().filter(|d| d.severity == Severity::Error).count();
        let warnings = self.0.len() - errors;
        write!(f, "{errors} error{}", plural(errors))?;
        if warnings > 0 {
            write!(f, ", {warnings} warning{}", plural(warnings))?;
        }
        Ok(())
    }
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// Collects what there is to say about one file.
pub(super) struct Report<'t> {
    file: &'t str,
    text: &'t str,
    diagnostics: Vec<Diagnostic>,
}

impl<'t> Report<'t> {
    pub(super) fn new(file: &'t str, text: &'t str) -> Self {
        Self { file, text, diagnostics: Vec::new() }
    }

    /// Says that the bytes `span` of the text are wrong.
    pub(super) fn error(&mut self, span: &Range<usize>, message: impl Into<String>) {
        self.push(Severity::Error, span, message.into());
    }

    /// Says that the bytes `span` of the text may not do what was meant.
    pub(super) fn warn(&mut self, span: &Range<usize>, message: impl Into<String>) {
        self.push(Severity::Warning, span, message.into());
    }

    /// The number, from 1, of the line that `span` starts on.
    pub(super) fn line_of(&self, span: &Range<usize>) -> usize {
        let start = self.text.floor_char_boundary(span.start);
        self.text[..start].matches('\n').count() + 1
    }

    /// What was said, in the order of the file: warnings only, or why there is no configuration.
    pub(super) fn finish(self) -> Result<Vec<Diagnostic>, ConfigError> {
        let diagnostics = self.into_diagnostics();
        if diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error) {
            Err(ConfigError::Invalid(diagnostics))
        } else {
            Ok(diagnostics)
        }
    }

    /// All that was said, in the order of the file.
    pub(super) fn into_diagnostics(mut self) -> Vec<Diagnostic> {
        self.diagnostics.sort_by_key(|diagnostic| (diagnostic.line, diagnostic.column));
        self.diagnostics
    }

    fn push(&mut self, severity: Severity, span: &Range<usize>, message: String) {
        let start = self.text.floor_char_boundary(span.start);
        let end = self.text.ceil_char_boundary(span.end.max(start));
        let line_start = self.text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line = self.text[line_start..].lines().next().unwrap_or_default();
        let column = self.text[line_start..start].chars().count();
        let width = self.text[start..end].chars().count();
        self.diagnostics.push(Diagnostic {
            severity,
            file: self.file.to_owned(),
            line: self.line_of(span),
            column: column + 1,
            message,
            excerpt: Excerpt::new(line, column, width),
        });
    }
}
