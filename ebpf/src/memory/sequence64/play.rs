//! From steps to frames.

use std::vec::Vec;

use super::Step64;
use crate::memory::sequence::{Interface, Player, Step};
use crate::memory::sequence6::{Player6, Step6};
use crate::verdict::Verdict;

/// Makes the frames of a sequence, as it is played.
#[derive(Debug, Default)]
pub struct Player64 {
    four: Player,
    six: Player6,
}

impl Player64 {
    /// The frame of the next step, and where it comes in. Nothing where the step is no packet, or is
    /// about one that was not.
    pub fn frame(&self, step: &Step64) -> Option<(Interface, Vec<u8>)> {
        let passages = self.four.passages();
        match step {
            Step64::Four(step) => self.four.frame(step),
            Step64::Send(packet) => self.six.frame(&Step6::Send(packet.clone())),
            Step64::Reply(to, four, six) => {
                let (_, sent) = passages.sent(*to)?;
                match sent.get(14)? >> 4 {
                    4 => self.four.frame(&Step::Reply(*to, four.clone())),
                    _ => self.six.frame(&Step6::Reply(*to, six.clone())),
                }
            }
            Step64::Error(about, four, six) => {
                let (_, blamed) = passages.blamed(*about, four.interface)?;
                match blamed.first()? >> 4 {
                    4 => self.four.frame(&Step::Error(*about, four.clone())),
                    _ => self.six.frame(&Step6::Error(*about, six.clone())),
                }
            }
            Step64::Nothing => None,
        }
    }

    /// Notes what became of the step: what [`Self::frame`] gave, and the frame after the verdict.
    pub fn played(&mut self, input: Option<(Interface, Vec<u8>)>, after: Option<(Verdict, &[u8])>) {
        self.four.played(input.clone(), after);
        self.six.played(input, after);
    }
}
