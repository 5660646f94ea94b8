//! Finding objects of a list by their identity or name without a copy of it: what is kept is a hash,
//! and who looks something up compares what the hash leads to.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};

/// The places of objects by the hash of something of theirs.
#[derive(Debug, Default)]
pub(super) struct Index {
    state: RandomState,
    places: HashMap<u64, Places>,
}

/// Nearly always there is one.
#[derive(Debug)]
enum Places {
    One(usize),
    Many(Vec<usize>),
}

impl Places {
    fn as_slice(&self) -> &[usize] {
        match self {
            Self::One(place) => std::slice::from_ref(place),
            Self::Many(places) => places,
        }
    }

    fn add(&mut self, place: usize) {
        match self {
            Self::One(first) if *first == place => {}
            Self::One(first) => *self = Self::Many(vec![*first, place]),
            Self::Many(places) if places.last() == Some(&place) => {}
            Self::Many(places) => places.push(place),
        }
    }
}

impl Index {
    /// Adds the object at `place` under `key`. Places come in rising order.
    pub fn add(&mut self, key: impl Hash, place: usize) {
        let hash = self.state.hash_one(key);
        self.places
            .entry(hash)
            .and_modify(|places| places.add(place))
            .or_insert(Places::One(place));
    }

    /// The places of objects that may have `key`, in rising order: others may be among them.
    pub fn find(&self, key: impl Hash) -> &[usize] {
        let found = self.places.get(&self.state.hash_one(key));
        found.map_or(&[][..], Places::as_slice)
    }
}
