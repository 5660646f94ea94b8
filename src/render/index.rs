//! Finding objects of a list by their identity or name without a copy of it: what is kept is a hash,
//! and who looks something up compares what the hash leads to.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState};

use crate::parallel::{self, PORTION};

/// The places of objects by the hash of something of theirs. Small, because it is as long as the
/// render is large: nearly every hash has one place.
#[derive(Debug, Default)]
pub(super) struct Index {
    state: RandomState,
    first: HashMap<u64, u32, BuildHasherDefault<Hashed>>,
    /// The others of a hash that has several.
    more: HashMap<u64, Vec<u32>, BuildHasherDefault<Hashed>>,
}

impl Index {
    /// With room for so many keys, which are hashed by `state`.
    fn with_capacity(state: &RandomState, keys: usize) -> Self {
        Self {
            state: state.clone(),
            first: HashMap::with_capacity_and_hasher(keys, BuildHasherDefault::default()),
            more: HashMap::default(),
        }
    }

    /// Of all items: `keys` are those of each, hashed by `state`. Up to `threads` threads look at
    /// them.
    pub fn of<'a, T: Sync, K: Hash, I: IntoIterator<Item = K>>(
        items: &'a [T],
        state: &RandomState,
        threads: usize,
        keys: impl Fn(&'a T) -> I + Sync,
    ) -> Self {
        let portions = parallel::map_portions(items, PORTION, threads, |start, portion| {
            let mut hashes = Vec::with_capacity(portion.len());
            for (place, item) in (start..).zip(portion) {
                let keys = keys(item).into_iter();
                hashes.extend(keys.map(|key| (state.hash_one(key), place)));
            }
            hashes
        });
        let mut index = Self::with_capacity(state, items.len());
        for (hash, place) in portions.into_iter().flatten() {
            index.put(hash, place);
        }
        index
    }

    /// Makes room for so many keys more.
    pub fn reserve(&mut self, keys: usize) {
        self.first.reserve(keys);
    }

    /// Adds the object at `place` under `key`. Places come in rising order.
    pub fn add(&mut self, key: impl Hash, place: usize) {
        self.put(self.state.hash_one(key), place);
    }

    /// The same by the hash of the key.
    pub fn put(&mut self, hash: u64, place: usize) {
        let place = narrow(place);
        let first = *self.first.entry(hash).or_insert(place);
        if first == place {
            return;
        }
        let more = self.more.entry(hash).or_default();
        if more.last() != Some(&place) {
            more.push(place);
        }
    }

    /// The hashes that have more than so many places, each with its first place, in no order.
    pub fn many(&self, few: usize) -> impl Iterator<Item = (u64, usize)> {
        let many = self.more.iter().filter(move |(_, more)| more.len() >= few);
        many.filter_map(|(hash, _)| Some((*hash, *self.first.get(hash)? as usize)))
    }

    /// The hash of a key.
    pub fn hash_of(&self, key: impl Hash) -> u64 {
        self.state.hash_one(key)
    }

    /// The places of objects that may have `key`, in rising order: others may be among them.
    pub fn find(&self, key: impl Hash) -> Places<'_> {
        self.at(self.state.hash_one(key))
    }

    /// The same by the hash of the key.
    pub fn at(&self, hash: u64) -> Places<'_> {
        let first = self.first.get(&hash).copied();
        let more = first.and_then(|_| self.more.get(&hash));
        Places {
            first,
            more: more.map(Vec::as_slice).unwrap_or_default().iter(),
        }
    }
}

/// Places of objects, in rising order.
#[derive(Debug)]
pub(super) struct Places<'a> {
    first: Option<u32>,
    more: std::slice::Iter<'a, u32>,
}

impl Iterator for Places<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let place = self.first.take().or_else(|| self.more.next().copied())?;
        Some(place as usize)
    }
}

/// The first item whose key one before it has, by its place. Up to `threads` threads look.
pub(super) fn first_duplicate<'a, T: Sync, K: Hash + Eq>(
    items: &'a [T],
    threads: usize,
    key: impl Fn(&'a T) -> K + Sync,
) -> Option<usize> {
    let state = RandomState::new();
    let hashes = parallel::map_ref(items, threads, |item| state.hash_one(key(item)));
    let mut hashes: Vec<(u64, u32)> = hashes.into_iter().zip(0..).collect();
    hashes.sort_unstable();
    let mut found: Option<usize> = None;
    for same in hashes.chunk_by(|(a, _), (b, _)| a == b) {
        let places = || same.iter().map(|(_, place)| *place as usize);
        let has_earlier = |(n, place): &(usize, usize)| {
            let key_here = key(&items[*place]);
            places()
                .take(*n)
                .any(|earlier| key(&items[earlier]) == key_here)
        };
        if let Some((_, place)) = places().enumerate().skip(1).find(has_earlier) {
            found = Some(found.map_or(place, |least| least.min(place)));
        }
    }
    found
}

/// There are never more objects than [`MAX_OBJECTS`](super::limits::MAX_OBJECTS).
fn narrow(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

/// Takes a hash for what it is.
#[derive(Debug, Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Only hashes come here, by `write_u64`.
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_found_in_rising_order() {
        let mut index = Index::with_capacity(&RandomState::new(), 4);
        for (place, key) in ["a", "b", "a", "a", "c"].into_iter().enumerate() {
            index.add(key, place);
            index.add(key, place);
        }
        let find = |key| index.find(key).collect::<Vec<_>>();
        assert_eq!(find("a"), [0, 2, 3]);
        assert_eq!(find("b"), [1]);
        assert_eq!(find("d"), [0; 0]);
        assert!(index.many(2).eq([(index.hash_of("a"), 0)]));
        assert_eq!(index.many(3).next(), None);
    }

    #[test]
    fn the_first_duplicate_is_that_of_the_least_place() {
        let first = |keys: &[&str]| first_duplicate(keys, 2, |key| *key);
        assert_eq!(first(&["a", "b", "c"]), None);
        assert_eq!(first(&["a", "b", "c", "b", "a"]), Some(3));
        assert_eq!(first(&["a", "a", "a"]), Some(1));
    }

    #[test]
    fn an_item_is_found_by_each_of_its_keys() {
        let items: Vec<Vec<usize>> = (0..100).map(|i| (i..i + i % 7).collect()).collect();
        let state = RandomState::new();
        let index = Index::of(&items, &state, 2, |keys| keys.iter().copied());
        for key in 0..110 {
            let with = (0..items.len()).filter(|place| items[*place].contains(&key));
            assert!(index.find(key).eq(with), "{key}");
        }
    }
}
