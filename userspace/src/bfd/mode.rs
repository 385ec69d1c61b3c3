use std::fmt;

/// Whose packets a session goes by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Those of a system on the link (RFC 5881).
    #[default]
    SingleHop,
    /// Those of a system that may be behind routers (RFC 5883).
    Multihop,
    /// Its own, which a router on the link sends back (RFC 9747).
    Echo,
}

impl Mode {
    /// All.
    pub const ALL: [Self; 3] = [Self::SingleHop, Self::Multihop, Self::Echo];

    /// How the configuration and the API call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SingleHop => "single-hop",
            Self::Multihop => "multihop",
            Self::Echo => "echo",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
