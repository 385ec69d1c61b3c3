//! Which uplinks a group's buckets rank: weighted rendezvous hashing (Wang, Schindelhauer et al.
//! "Weighted distributed hash tables").
//!
//! Every bucket gives every uplink a score, and ranks the uplinks by it. A score depends on the
//! bucket and the uplink alone, so an uplink that comes or goes moves only the buckets that it
//! wins.

use pointsman_ebpf::abi::{BUCKETS_PER_GROUP, Bucket, RANKS};

/// An uplink that may be ranked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// What the scores are drawn from, so that they do not depend on the order of the file.
    pub name: String,
    /// What stands in the buckets.
    pub id: u8,
    /// Its share, relative to the other candidates of its tier; at least one.
    pub weight: u32,
}

/// What a group's buckets are made from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranking {
    /// A bucket ranks all candidates of a tier before those of the next.
    pub tiers: Vec<Vec<Candidate>>,
}

impl Ranking {
    /// The group's [`BUCKETS_PER_GROUP`] buckets. Of more than [`RANKS`] uplinks, a bucket ranks
    /// the first.
    pub fn buckets(&self) -> impl Iterator<Item = Bucket> {
        let tiers = self.seeded();
        (0..BUCKETS_PER_GROUP as u64).map(move |index| bucket(&tiers, index))
    }

    /// The one with this index among those.
    pub fn bucket(&self, index: u32) -> Bucket {
        bucket(&self.seeded(), index.into())
    }

    fn seeded(&self) -> Vec<Vec<Seeded>> {
        self.tiers.iter().map(|tier| tier.iter().map(Seeded::new).collect()).collect()
    }
}

fn bucket(tiers: &[Vec<Seeded>], index: u64) -> Bucket {
    Bucket::new(tiers.iter().flat_map(|tier| rank(tier, index)).take(RANKS))
}

/// A candidate and the hash of its name.
struct Seeded {
    seed: u64,
    id: u8,
    weight: f64,
}

impl Seeded {
    fn new(candidate: &Candidate) -> Self {
        Self {
            seed: fnv1a(candidate.name.as_bytes()),
            id: candidate.id,
            weight: f64::from(candidate.weight),
        }
    }

    /// -w / ln(u), u uniform in (0, 1): the chance to have the highest score is in proportion to w.
    fn score(&self, bucket: u64) -> f64 {
        let hash = mix(self.seed ^ mix(bucket));
        // The 53 bits of a mantissa, in the middle of their interval: neither 0 nor 1.
        let uniform = ((hash >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        -self.weight / uniform.ln()
    }
}

/// The tier's uplinks, best score first. Names that collide are in the order of their identifiers.
fn rank(tier: &[Seeded], bucket: u64) -> impl Iterator<Item = u8> {
    let mut scores: Vec<_> =
        tier.iter().map(|candidate| (candidate.score(bucket), candidate.id)).collect();
    scores.sort_by(|(a, a_id), (b, b_id)| b.total_cmp(a).then(a_id.cmp(b_id)));
    scores.into_iter().map(|(_, id)| id)
}

/// FNV-1a of 64 bits. The standard library's hashers may change from one version to the next, and
/// flows would move with that.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood, 2014): every bit of the input moves half of
/// the output's.
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tier(candidates: &[(&str, u8, u32)]) -> Vec<Candidate> {
        candidates
            .iter()
            .map(|&(name, id, weight)| Candidate { name: name.into(), id, weight })
            .collect()
    }

    fn buckets(tiers: &[Vec<Candidate>]) -> Vec<Bucket> {
        let ranking = Ranking { tiers: tiers.to_vec() };
        ranking.buckets().collect()
    }

    fn first(bucket: &Bucket) -> u8 {
        bucket.ranking().next().expect("the bucket is not empty")
    }

    #[test]
    fn shares_are_as_the_weights() {
        for weights in [&[1, 1][..], &[3, 1], &[1000, 1], &[5, 3, 2], &[1; 8]] {
            let candidates: Vec<_> = weights
                .iter()
                .enumerate()
                .map(|(id, weight)| Candidate {
                    name: format!("uplink-{id}"),
                    id: id as u8,
                    weight: *weight,
                })
                .collect();
            let buckets = buckets(&[candidates]);
            assert_eq!(buckets.len(), BUCKETS_PER_GROUP);
            let total: u32 = weights.iter().sum();
            for (id, weight) in weights.iter().enumerate() {
                let won = buckets.iter().filter(|b| usize::from(first(b)) == id);
                let share = won.count() as f64 / BUCKETS_PER_GROUP as f64;
                let wanted = f64::from(*weight) / f64::from(total);
                assert!((share - wanted).abs() < 0.015, "{weights:?}: {id}: {share}");
            }
        }
    }

    #[test]
    fn an_uplink_that_goes_moves_its_own_buckets_only_and_by_weight() {
        let all = tier(&[("a", 0, 2), ("b", 1, 1), ("c", 2, 1)]);
        let with = buckets(std::slice::from_ref(&all));
        let without = buckets(&[all[..2].to_vec()]);
        let mut inherited = [0_u32; 2];
        for (with, without) in with.iter().zip(&without) {
            if first(with) == 2 {
                inherited[usize::from(first(without))] += 1;
            } else {
                assert_eq!(first(with), first(without));
            }
            let rest: Vec<_> = with.ranking().filter(|id| *id != 2).collect();
            assert_eq!(rest, without.ranking().collect::<Vec<_>>());
        }
        let share = f64::from(inherited[0]) / f64::from(inherited[0] + inherited[1]);
        assert!((share - 2.0 / 3.0).abs() < 0.03, "{share}");
    }

    #[test]
    fn the_order_of_the_file_does_not_matter() {
        let one = tier(&[("a", 0, 2), ("b", 1, 1), ("c", 2, 1)]);
        let other = tier(&[("c", 2, 1), ("a", 0, 2), ("b", 1, 1)]);
        assert_eq!(buckets(&[one]), buckets(&[other]));
    }

    #[test]
    fn tiers_come_in_order_and_ranks_end() {
        let spare = tier(&[("lte", 9, 1000)]);
        let many: Vec<_> = (0..8).map(|id| (format!("u{id}"), id, 1)).collect();
        let many: Vec<_> = many.iter().map(|(n, i, w)| (n.as_str(), *i, *w)).collect();
        for bucket in buckets(&[tier(&many[..2]), spare.clone()]) {
            assert_eq!(bucket.ranking().collect::<Vec<_>>()[2..], [9]);
        }
        for bucket in buckets(&[tier(&many), spare]) {
            assert_eq!(bucket.ranking().count(), RANKS);
            assert!(!bucket.ranking().any(|id| id == 9));
        }
    }

    #[test]
    fn one_bucket_is_that_of_all() {
        let ranking =
            Ranking { tiers: vec![tier(&[("a", 0, 2), ("b", 1, 1)]), tier(&[("c", 2, 1)])] };
        for (index, bucket) in (0..).zip(ranking.buckets()) {
            assert_eq!(ranking.bucket(index), bucket);
        }
    }

    #[test]
    fn an_upgrade_moves_no_buckets() {
        let buckets = buckets(&[tier(&[("cable", 1, 1), ("fiber", 0, 3)])]);
        let start: Vec<_> = buckets[..16].iter().map(first).collect();
        assert_eq!(start, [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
    }
}
