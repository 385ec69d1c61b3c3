use std::vec::Vec;

use super::Interface;
use crate::verdict::Verdict;

const ETHERNET: usize = 14;

/// What was given and sent on at a step.
#[derive(Clone, Debug)]
struct Passage {
    came: Interface,
    given: Vec<u8>,
    sent: Option<(Interface, Vec<u8>)>,
}

/// What became of the steps of a sequence so far.
#[derive(Debug, Default)]
pub(crate) struct Passages(Vec<Option<Passage>>);

impl Passages {
    /// Notes what became of the next step: the frame that was given, if it was one, and the frame after
    /// the verdict.
    pub(crate) fn note(
        &mut self,
        input: Option<(Interface, Vec<u8>)>,
        after: Option<(Verdict, &[u8])>,
    ) {
        self.0.push(input.map(|(came, given)| {
            let sent = match after {
                Some((Verdict::Forward { egress, .. }, frame)) => {
                    Some((Interface::of_egress(egress), frame.to_vec()))
                }
                _ => None,
            };
            Passage { came, given, sent }
        }));
    }

    fn of(&self, step: usize) -> Option<&Passage> {
        self.0.get(step)?.as_ref()
    }

    /// What was sent on at a step, and by which interface.
    pub(crate) fn sent(&self, step: usize) -> Option<(Interface, &[u8])> {
        let (interface, frame) = self.of(step)?.sent.as_ref()?;
        Some((*interface, frame))
    }

    /// The packet of a step that an error is about, as it was sent on or else given, and the interface
    /// that the error comes in by: `beyond` where a LAN host's was not sent on.
    pub(crate) fn blamed(&self, step: usize, beyond: Interface) -> Option<(Interface, &[u8])> {
        let passage = self.of(step)?;
        let (interface, frame) = match &passage.sent {
            Some((interface, frame)) => (*interface, frame),
            None if passage.came == Interface::Lan => (beyond, &passage.given),
            None => (Interface::Lan, &passage.given),
        };
        Some((interface, frame.get(ETHERNET..)?))
    }
}
