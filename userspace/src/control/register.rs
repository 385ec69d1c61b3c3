use std::collections::BTreeMap;

/// Numbers for names, which stay the same as long as a name stays.
#[derive(Clone, Debug)]
pub(super) struct Register {
    numbers: BTreeMap<String, u16>,
    next: u16,
    size: u16,
}

impl Register {
    /// A register of the numbers below `size`.
    pub(super) fn new(size: u16) -> Self {
        Self { numbers: BTreeMap::new(), next: 0, size }
    }

    /// Gives names the numbers that they had, as far as those are below the size and each is had once.
    pub(super) fn restore(&mut self, numbers: &BTreeMap<String, u16>) {
        for (name, number) in numbers {
            let is_free = !self.numbers.values().any(|taken| taken == number);
            if *number < self.size && is_free {
                self.numbers.insert(name.clone(), *number);
                self.next = self.next.max((number + 1) % self.size);
            }
        }
    }

    /// All names with their numbers.
    pub(super) fn numbers(&self) -> &BTreeMap<String, u16> {
        &self.numbers
    }

    /// Forgets all names but these, and numbers the new ones. A number that has become free is the
    /// last to be given again, for flow entries that have it may still be there. Where all numbers
    /// are taken, a name stays without one.
    pub(super) fn assign<'n>(&mut self, names: impl Iterator<Item = &'n str> + Clone) {
        self.numbers.retain(|known, _| names.clone().any(|name| name == known));
        for name in names {
            if self.numbers.contains_key(name) {
                continue;
            }
            let candidates = (self.next..self.size).chain(0..self.next);
            let free = |number: &u16| !self.numbers.values().any(|taken| taken == number);
            if let Some(number) = { candidates }.find(free) {
                self.numbers.insert(name.to_owned(), number);
                self.next = (number + 1) % self.size;
            }
        }
    }

    /// Has a name that is in use be another from now on, with the same number.
    pub(super) fn rename(&mut self, old: &str, new: &str) {
        if let Some(number) = self.numbers.remove(old) {
            self.numbers.insert(new.to_owned(), number);
        }
    }

    /// The number of a name.
    pub(super) fn get(&self, name: &str) -> Option<u16> {
        self.numbers.get(name).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_restored_and_not_given_to_others() {
        let mut register = Register::new(4);
        let known = [("b", 2), ("c", 1), ("d", 2), ("e", 4)];
        register.restore(&known.map(|(name, number)| (name.to_owned(), number)).into());
        register.assign(["a", "b", "c"].into_iter());
        assert_eq!(["a", "b", "c"].map(|n| register.get(n)), [3, 2, 1].map(Some));
        register.assign(["a", "b", "c", "d"].into_iter());
        assert_eq!(register.get("d"), Some(0));
    }

    #[test]
    fn numbers_stay_and_free_ones_come_last() {
        let mut register = Register::new(4);
        register.assign(["a", "b", "c"].into_iter());
        assert_eq!(register.get("b"), Some(1));
        register.assign(["c", "d", "b"].into_iter());
        assert_eq!(register.get("a"), None);
        assert_eq!(["b", "c", "d"].map(|n| register.get(n)), [1, 2, 3].map(Some));
        register.assign(["b", "c", "d", "e", "f"].into_iter());
        register.rename("d", "a");
        assert_eq!((register.get("a"), register.get("d")), (Some(3), None));
        register.rename("a", "d");
        assert_eq!(register.get("e"), Some(0));
        assert_eq!(register.get("f"), None);
    }
}
