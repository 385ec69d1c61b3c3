use std::time::Duration;

use super::daemon::{Socket, ask};
use super::output::say;
use super::status::flows;
use crate::api::{RebalanceRequest, RebalanceStatus, request_rebalance};
use crate::dataplane::RATE;

/// How long the daemon may take to answer: it reads all flows, after a sweep if there is one going on.
const ANSWER_BOUND: Duration = Duration::from_secs(60);

/// Which flows are to move, and of whom.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Move also what breaks by it: TCP connections that are translated, and calls that go on.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    daemon: Socket,
}

/// Has a running daemon move flows, and says how many there are.
pub(super) fn rebalance(arguments: &Arguments) -> anyhow::Result<()> {
    let request = RebalanceRequest { all: arguments.all };
    let socket = arguments.daemon.socket();
    say(sentence(&ask(socket, ANSWER_BOUND, request_rebalance(socket, request))?))
}

fn sentence(status: &RebalanceStatus) -> String {
    let mut text = format!("{} to move now, at most {RATE} a second", flows(status.to_move));
    if status.waiting > 0 {
        text += &format!(", {} when their hosts are silent", flows(status.waiting));
    }
    if status.staying > 0 {
        text += &format!(
            "; {} of TCP stay until they end, because a move breaks them (--all moves them too)",
            flows(status.staying)
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_move_is_one_sentence() {
        let status =
            |to_move, waiting, staying| RebalanceStatus { moved: 0, to_move, waiting, staying };
        for (status, expected) in [
            (status(0, 0, 0), "0 flows to move now, at most 500 a second"),
            (
                status(1, 2, 0),
                "1 flow to move now, at most 500 a second, 2 flows when their hosts are silent",
            ),
            (
                status(40, 0, 3),
                "40 flows to move now, at most 500 a second; 3 flows of TCP stay until they end, because \
                 a move breaks them (--all moves them too)",
            ),
        ] {
            assert_eq!(sentence(&status), expected);
        }
    }
}
