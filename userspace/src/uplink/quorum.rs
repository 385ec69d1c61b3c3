/// How many of an uplink's probes have to be answered for it to be fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Quorum {
    /// One.
    #[default]
    Any,
    /// Every one.
    All,
    /// So many, at least.
    AtLeast(usize),
}

impl Quorum {
    /// How many that is of so many probes: at least one and at most all of them.
    pub fn of(self, probes: usize) -> usize {
        let wanted = match self {
            Self::Any => 1,
            Self::All => probes,
            Self::AtLeast(count) => count.max(1),
        };
        wanted.min(probes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_of_the_probes_that_there_are() {
        for (quorum, of_none, of_three) in [
            (Quorum::Any, 0, 1),
            (Quorum::All, 0, 3),
            (Quorum::AtLeast(0), 0, 1),
            (Quorum::AtLeast(2), 0, 2),
            (Quorum::AtLeast(4), 0, 3),
        ] {
            assert_eq!((quorum.of(0), quorum.of(3)), (of_none, of_three), "{quorum:?}");
        }
    }
}
