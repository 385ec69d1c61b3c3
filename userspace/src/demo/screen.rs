//! What people see while the demonstration runs: a line for each event, and, on a terminal, a block
//! below them that is drawn anew again and again.

use std::{
    fmt::Write as _,
    io::{self, Write},
    time::Duration,
};

/// How many characters a bar has. A full one stands for all that is answered.
const BAR: usize = 20;

/// An uplink's line of the block.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct UplinkView {
    /// Its name.
    pub(super) name: String,
    /// Its state.
    pub(super) state: String,
    /// Why it is in that state.
    pub(super) reason: String,
    /// How many flows were last seen on it.
    pub(super) flows: usize,
    /// How many packets a second are answered by it.
    pub(super) packets_per_second: f64,
}

/// All that the block shows.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct View {
    /// What is going on, in a few words.
    pub(super) phase: String,
    /// The uplinks.
    pub(super) uplinks: Vec<UplinkView>,
}

impl View {
    /// The lines of the block, without line ends.
    fn lines(&self) -> Vec<String> {
        let all: f64 = self.uplinks.iter().map(|up| up.packets_per_second).sum();
        let mut lines = vec![String::new(), format!("  {}", self.phase)];
        lines.extend(self.uplinks.iter().map(|uplink| uplink.line(all)));
        lines
    }
}

impl UplinkView {
    fn line(&self, all: f64) -> String {
        let Self { name, state, reason, flows, packets_per_second: rate } = self;
        let share = if all > 0.0 { rate / all } else { 0.0 };
        let filled = (share * BAR as f64).round() as usize;
        let bar = "█".repeat(filled) + &"·".repeat(BAR.saturating_sub(filled));
        format!("  {name:<6} {state:<8} {bar} {flows:>3} flows {rate:>6.0} packets/s  {reason}")
    }
}

/// Where the demonstration is told and shown.
pub(super) struct Screen<W> {
    out: W,
    terminal: bool,
    /// How many lines of the block stand above the cursor.
    drawn: usize,
}

impl<W: Write> Screen<W> {
    /// Writes to `out`; without control characters unless it is a terminal.
    pub(super) fn new(out: W, terminal: bool) -> Self {
        Self { out, terminal, drawn: 0 }
    }

    /// Tells of an event, so long after the start.
    pub(super) fn event(&mut self, after: Duration, text: &str) -> io::Result<()> {
        self.line(&format!("{:5.1} s  {text}", after.as_secs_f64()))
    }

    /// Writes a line of text, in place of the block.
    pub(super) fn line(&mut self, text: &str) -> io::Result<()> {
        let mut output = self.erased();
        output += text;
        output.push('\n');
        self.put(&output)
    }

    /// Draws the block anew, if there is a terminal.
    pub(super) fn draw(&mut self, view: &View) -> io::Result<()> {
        if !self.terminal {
            return Ok(());
        }
        let mut output = self.erased();
        // A line that the terminal wraps would be two when the block is erased.
        output += NO_WRAP;
        let lines = view.lines();
        for line in &lines {
            let _ = writeln!(output, "{line}");
        }
        output += WRAP;
        self.drawn = lines.len();
        self.put(&output)
    }

    /// What erases the block, which is then no longer there.
    fn erased(&mut self) -> String {
        match std::mem::take(&mut self.drawn) {
            0 => String::new(),
            lines => format!("\x1b[{lines}A\r{ERASE_BELOW}"),
        }
    }

    /// In one piece, so that a process that is killed leaves no half of it.
    fn put(&mut self, output: &str) -> io::Result<()> {
        self.out.write_all(output.as_bytes())?;
        self.out.flush()
    }
}

/// Control sequences of ECMA-48 and, for wrapping, of the VT100.
const ERASE_BELOW: &str = "\x1b[J";
const NO_WRAP: &str = "\x1b[?7l";
const WRAP: &str = "\x1b[?7h";

#[cfg(test)]
mod tests {
    use super::*;

    fn view() -> View {
        let uplink =
            |name: &str, state: &str, reason: &str, flows, packets_per_second| UplinkView {
                name: name.to_owned(),
                state: state.to_owned(),
                reason: reason.to_owned(),
                flows,
                packets_per_second,
            };
        View {
            phase: "the cable is cut".to_owned(),
            uplinks: vec![
                uplink("isp-a", "down", "no carrier on wan0", 16, 8_000.4),
                uplink("isp-b", "up", "probes answered", 48, 24_000.0),
            ],
        }
    }

    fn screen(terminal: bool) -> Screen<Vec<u8>> {
        Screen::new(Vec::new(), terminal)
    }

    fn written(screen: Screen<Vec<u8>>) -> String {
        String::from_utf8(screen.out).unwrap()
    }

    #[test]
    fn the_block_has_a_line_for_each_uplink() {
        assert_eq!(
            view().lines(),
            [
                "",
                "  the cable is cut",
                "  isp-a  down     █████···············  16 flows   8000 packets/s  no carrier on \
                 wan0",
                "  isp-b  up       ███████████████·····  48 flows  24000 packets/s  probes answered",
            ]
        );
    }

    #[test]
    fn no_traffic_is_an_empty_bar() {
        let mut view = view();
        view.uplinks[0].packets_per_second = 0.0;
        view.uplinks.truncate(1);
        let line = &view.lines()[2];
        assert!(line.contains(&"·".repeat(BAR)), "{line}");
        assert!(line.contains(" 0 packets/s"), "{line}");
    }

    #[test]
    fn what_is_no_terminal_gets_events_only_and_no_control_characters() {
        let mut screen = screen(false);
        screen.event(Duration::from_millis(2_040), "cut").unwrap();
        screen.draw(&view()).unwrap();
        screen.line("done").unwrap();
        assert_eq!(written(screen), "  2.0 s  cut\ndone\n");
    }

    #[test]
    fn a_terminal_gets_the_block_below_the_events() {
        let mut screen = screen(true);
        screen.line("one").unwrap();
        screen.draw(&view()).unwrap();
        screen.draw(&view()).unwrap();
        screen.line("two").unwrap();
        screen.line("three").unwrap();
        let block = view().lines().join("\n");
        let block = format!("\x1b[?7l{block}\n\x1b[?7h");
        let erase = "\x1b[4A\r\x1b[J";
        assert_eq!(written(screen), format!("one\n{block}{erase}{block}{erase}two\nthree\n"));
    }
}
