use std::fmt;

/// What a system believes of a session (RFC 5880 section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum State {
    /// Held down by its operator.
    AdminDown = 0,
    /// Nothing is heard of the other system, or that it hears nothing.
    Down = 1,
    /// The other system is heard, and does perhaps not hear this one.
    Init = 2,
    /// Each hears the other.
    Up = 3,
}

impl State {
    /// All, by number.
    pub const ALL: [Self; 4] = [Self::AdminDown, Self::Down, Self::Init, Self::Up];

    /// What becomes of it when a packet comes that was sent in the state `received`, and why, if it goes down
    /// (RFC 5880 sections 6.2 and 6.8.6).
    pub const fn after(self, received: Self) -> (Self, Option<Diagnostic>) {
        match (self, received) {
            (Self::AdminDown, _) | (Self::Down, Self::AdminDown | Self::Up) => (self, None),
            (Self::Down, Self::Down) => (Self::Init, None),
            (Self::Down | Self::Init, Self::Init) | (Self::Init, Self::Up) => (Self::Up, None),
            (Self::Init, Self::Down) | (Self::Up, Self::Init | Self::Up) => (self, None),
            (Self::Init | Self::Up, Self::AdminDown) | (Self::Up, Self::Down) => {
                (Self::Down, Some(Diagnostic::NEIGHBOR_SIGNALED_DOWN))
            }
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::AdminDown => "AdminDown",
            Self::Down => "Down",
            Self::Init => "Init",
            Self::Up => "Up",
        })
    }
}

/// Why a session was last brought down: a number of five bits (RFC 5880 section 4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Diagnostic(u8);

impl Diagnostic {
    /// It was not.
    pub const NONE: Self = Self(0);
    /// Nothing came for as long as the detection time.
    pub const DETECTION_TIME_EXPIRED: Self = Self(1);
    /// Packets that a router was to send back did not come.
    pub const ECHO_FUNCTION_FAILED: Self = Self(2);
    /// The other system said that it is.
    pub const NEIGHBOR_SIGNALED_DOWN: Self = Self(3);
    /// The operator holds it down.
    pub const ADMINISTRATIVELY_DOWN: Self = Self(7);

    /// Of the lower five bits of a packet's first byte.
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits & 0x1f)
    }

    /// The number.
    pub const fn to_bits(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self.0 {
            0 => "no diagnostic",
            1 => "control detection time expired",
            2 => "echo function failed",
            3 => "neighbor signaled session down",
            4 => "forwarding plane reset",
            5 => "path down",
            6 => "concatenated path down",
            7 => "administratively down",
            8 => "reverse concatenated path down",
            _ => "reserved diagnostic",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every pair, as the figure of RFC 5880 section 6.2 has them, and section 6.8.6 for `AdminDown`.
    #[test]
    fn every_transition_is_that_of_the_rfc() {
        use State::{AdminDown, Down, Init, Up};
        for (state, received, next) in [
            (AdminDown, AdminDown, AdminDown),
            (AdminDown, Down, AdminDown),
            (AdminDown, Init, AdminDown),
            (AdminDown, Up, AdminDown),
            (Down, AdminDown, Down),
            (Down, Down, Init),
            (Down, Init, Up),
            (Down, Up, Down),
            (Init, AdminDown, Down),
            (Init, Down, Init),
            (Init, Init, Up),
            (Init, Up, Up),
            (Up, AdminDown, Down),
            (Up, Down, Down),
            (Up, Init, Up),
            (Up, Up, Up),
        ] {
            let signaled = state != Down && next == Down;
            let why = signaled.then_some(Diagnostic::NEIGHBOR_SIGNALED_DOWN);
            assert_eq!(state.after(received), (next, why), "{state} receives {received}");
        }
    }
}
