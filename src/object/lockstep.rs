//! Looking up many ids in their order.

use std::collections::btree_map::{self, BTreeMap};
use std::iter::Peekable;

use super::ObjectId;

/// A map that is asked for ids in rising order: each look goes on where the last one ended, instead
/// of searching the whole map. A pass looks at every object in a handful of maps.
pub struct Lockstep<'a, V>(Peekable<btree_map::Iter<'a, ObjectId, V>>);

impl<'a, V> Lockstep<'a, V> {
    /// Begins at the first id.
    pub fn of(map: &'a BTreeMap<ObjectId, V>) -> Self {
        Self(map.iter().peekable())
    }

    /// What is known of `id`, which is not before the one that was asked for last.
    pub fn get(&mut self, id: &ObjectId) -> Option<&'a V> {
        while self.0.next_if(|(known, _)| *known < id).is_some() {}
        let (known, value) = self.0.peek()?;
        (*known == id).then_some(*value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_the_map_finds() {
        let id = |name: &str| ObjectId::new("", "ConfigMap", "shop", name);
        let map: BTreeMap<ObjectId, usize> = ["b", "d", "e"].map(id).into_iter().zip(0..).collect();
        let mut lockstep = Lockstep::of(&map);
        for name in ["a", "b", "b", "c", "d", "e", "f", "g"] {
            assert_eq!(lockstep.get(&id(name)), map.get(&id(name)), "{name}");
        }
    }
}
