//! The objects that a layer has accumulated, in order, with the indexes by which they are found.
//! kustomize scans the whole list for each look-up.

use std::hash::{BuildHasher as _, RandomState};

use super::error::{Error, Reason, Result};
use super::fields::text;
use super::identity::Identity;
use super::index::{Index, first_duplicate};
use super::limits::MAX_OBJECTS;
use super::order::Ranks;
use super::resource::Resource;
use crate::parallel::{self, PORTION};
use crate::yaml::Text;

/// Objects in order. Lists of them grow, are sorted and are handed on: only their addresses move.
pub(super) type List = Vec<Box<Resource>>;

/// The accumulated objects. Indexes are made when they are first asked for, and thrown away when
/// identities may have changed.
#[derive(Debug, Default)]
pub(super) struct Resources {
    list: List,
    /// How the keys of all indexes are hashed.
    state: RandomState,
    /// By present identity.
    present: Option<Index>,
    /// By every identity, present or past.
    any: Option<Index>,
    /// By every name, present or past.
    names: Option<Index>,
    has_deleted: bool,
    /// Looks that indexes and deletions cost since somebody asked.
    looks: usize,
    /// How many threads may look at them.
    threads: usize,
}

impl Resources {
    /// None yet; so many threads may look at them.
    pub fn new(threads: usize) -> Self {
        Self {
            threads,
            ..Self::default()
        }
    }

    /// Appends an object.
    ///
    /// # Errors
    /// Where one with the same identity is there already.
    pub fn append(&mut self, resource: impl Into<Box<Resource>>) -> Result<()> {
        let resource = resource.into();
        let hash = self.hashing().of(&resource);
        self.append_hashed(resource, hash)
    }

    /// What hashes identities for [`Resources::append_hashed`], in any thread.
    pub fn hashing(&self) -> Hashing {
        Hashing(self.state.clone())
    }

    /// Makes room for so many objects more, where somebody knows how many will come.
    pub fn reserve(&mut self, objects: usize) {
        let objects = objects.min(MAX_OBJECTS);
        self.list.reserve(objects);
        if let Some(present) = &mut self.present {
            present.reserve(objects);
        }
    }

    /// Appends an object of which the hash is known. While there is no other index, nothing of it is
    /// looked at where no other has that: it was read by another thread, and is in no cache.
    ///
    /// # Errors
    /// As [`Resources::append`].
    pub fn append_hashed(&mut self, resource: Box<Resource>, hash: u64) -> Result<()> {
        if self.list.len() >= MAX_OBJECTS {
            return Err(Error::new(
                Reason::LimitExceeded,
                format!("more than {MAX_OBJECTS} objects in one render"),
            )
            .hint("split the application"));
        }
        let place = self.list.len();
        let (list, state, threads) = (&self.list, &self.state, self.threads);
        let present = self.present.get_or_insert_with(|| {
            Index::of(list, state, threads, |one| {
                (!one.deleted).then(|| one.key())
            })
        });
        let mut same_hash = present.at(hash).map(|i| &list[i]);
        if same_hash.any(|other| !other.deleted && other.key() == resource.key()) {
            return Err(duplicate(&resource));
        }
        present.put(hash, place);
        if let Some(index) = &mut self.any {
            resource.all_keys().for_each(|key| index.add(key, place));
        }
        if let Some(index) = &mut self.names {
            resource.all_names().for_each(|name| index.add(name, place));
        }
        self.list.push(resource);
        Ok(())
    }

    /// Appends objects in order.
    ///
    /// # Errors
    /// As [`Resources::append`].
    pub fn append_all(&mut self, resources: List) -> Result<()> {
        resources
            .into_iter()
            .try_for_each(|resource| self.append(resource))
    }

    /// Appends the objects of another layer in order.
    ///
    /// # Errors
    /// As [`Resources::append`].
    pub fn absorb(&mut self, mut other: Self) -> Result<()> {
        if !self.list.is_empty() {
            return self.append_all(other.into_list());
        }
        other.drop_deleted();
        if other.present.is_none() {
            other.check_unique()?;
        }
        *self = other;
        Ok(())
    }

    /// Puts an object in the place of another.
    pub fn put(&mut self, index: usize, resource: Resource) {
        *self.list[index] = resource;
        self.forget();
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// The objects in order.
    pub fn iter(&self) -> impl Iterator<Item = &Resource> {
        let all = self.list.iter().map(AsRef::as_ref);
        all.filter(|resource: &&Resource| !resource.deleted)
    }

    /// The objects in order, to change them in any way.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Resource> {
        self.forget();
        self.iter_mut_keeping_ids()
    }

    /// The objects in order, to change anything but kind, name, namespace and the names of the past.
    pub fn iter_mut_keeping_ids(&mut self) -> impl Iterator<Item = &mut Resource> {
        let all = self.list.iter_mut().map(AsMut::as_mut);
        all.filter(|resource: &&mut Resource| !resource.deleted)
    }

    /// Changes the objects by several threads: each begins with a `worker` of its own, and again
    /// after some objects. Where `changes_ids` is false, it changes anything but kind, name, namespace
    /// and the names of the past.
    ///
    /// # Errors
    /// The first that a worker has, in the order of the objects.
    pub fn try_each<E: Send, W: FnMut(&mut Resource) -> std::result::Result<(), E>>(
        &mut self,
        changes_ids: bool,
        worker: impl Fn() -> W + Sync,
    ) -> std::result::Result<(), E> {
        if changes_ids {
            self.forget();
        }
        parallel::try_each(&mut self.list, PORTION, self.threads, |portion| {
            let mut worker = worker();
            let mut there = portion.iter_mut().filter(|resource| !resource.deleted);
            there.try_for_each(|resource| worker(resource))
        })
    }

    /// What `work` makes of objects next to each other, by several threads, in order.
    pub fn portions<R: Send>(
        &self,
        work: impl Fn(&mut dyn Iterator<Item = &Resource>) -> R + Sync,
    ) -> Vec<R> {
        parallel::map_portions(&self.list, PORTION, self.threads, |_, portion| {
            let all = portion.iter().map(AsRef::as_ref);
            work(&mut all.filter(|resource: &&Resource| !resource.deleted))
        })
    }

    /// How many threads may look at them.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// One object.
    pub fn get(&self, index: usize) -> &Resource {
        &self.list[index]
    }

    /// One object, to change anything but kind, name, namespace and the names of the past.
    pub fn get_mut_keeping_ids(&mut self, index: usize) -> &mut Resource {
        &mut self.list[index]
    }

    /// Changes one object in any way; indexes stay where its identity did.
    ///
    /// # Errors
    /// Whatever `change` returns.
    pub fn edit(
        &mut self,
        index: usize,
        change: impl FnOnce(&mut Resource) -> Result<()>,
    ) -> Result<()> {
        let before = OwnKey::of(&self.list[index]);
        change(&mut self.list[index])?;
        if self.list[index].deleted {
            self.has_deleted = true;
            self.present = None;
        } else if OwnKey::of(&self.list[index]) != before {
            self.forget();
        }
        Ok(())
    }

    /// All objects, taken out.
    pub fn into_list(mut self) -> List {
        self.list.retain(|resource| !resource.deleted);
        self.list
    }

    /// Drops deleted objects.
    pub fn drop_deleted(&mut self) {
        if std::mem::take(&mut self.has_deleted) {
            self.looks += self.list.len();
            self.list.retain(|resource| !resource.deleted);
            self.forget();
        }
    }

    /// Keeps the objects for which `keep` holds.
    pub fn retain(&mut self, mut keep: impl FnMut(&Resource) -> bool) {
        self.list.retain(|resource| keep(resource));
        self.forget();
    }

    /// Puts those for which `keep` holds into the order of `ranks`; the others go.
    ///
    /// # Errors
    /// Where two of them have one identity.
    pub fn sort(&mut self, ranks: &Ranks, keep: impl Fn(&Resource) -> bool + Sync) -> Result<()> {
        let order = ranks.order(&self.list, self.threads, |one| {
            keep(one).then(|| (one.kind_ref(), one.namespace(), one.name()))
        });
        let list = std::mem::take(&mut self.list).into_iter();
        let mut list: Vec<_> = list.map(Some).collect();
        self.list = { order.places.into_iter() }
            .filter_map(|place| list[place].take())
            .collect();
        self.forget();
        match order.differ {
            true => Ok(()),
            false => self.check_unique(),
        }
    }

    /// The first two objects that have one identity, if there are such.
    ///
    /// # Errors
    /// Where there are.
    pub fn check_unique(&mut self) -> Result<()> {
        self.looks += self.list.len();
        let list: Vec<&Resource> = self.iter().collect();
        first_duplicate(&list, self.threads, |resource| resource.key())
            .map_or(Ok(()), |place| Err(duplicate(list[place])))
    }

    /// The objects that have or had this identity.
    pub fn with_any_id(&mut self, id: &Identity) -> Vec<usize> {
        let (list, state, threads) = (&self.list, &self.state, self.threads);
        let looks = &mut self.looks;
        let index = self.any.get_or_insert_with(|| {
            *looks += list.len();
            Index::of(list, state, threads, |one| one.all_keys())
        });
        let key = id.key();
        let is_it = |r: &Resource| !r.deleted && r.all_keys().any(|have| have == key);
        let found = index.find(key);
        found.filter(|i| is_it(&list[*i])).collect()
    }

    /// The objects that have or had this name.
    pub fn with_any_name(&mut self, name: &str) -> Vec<usize> {
        let (list, state, threads) = (&self.list, &self.state, self.threads);
        let looks = &mut self.looks;
        let index = self.names.get_or_insert_with(|| {
            *looks += list.len();
            Index::of(list, state, threads, |one| one.all_names())
        });
        let is_it = |r: &Resource| !r.deleted && r.all_names().any(|have| have == name);
        let found = index.find(name);
        found.filter(|i| is_it(&list[*i])).collect()
    }

    /// What one look at each object, with its former names, counts for.
    pub fn looks(&self) -> usize {
        self.iter().map(|one| 1 + one.trail.past.len()).sum()
    }

    /// The looks that indexes and deletions cost since the last call.
    pub fn take_looks(&mut self) -> usize {
        std::mem::take(&mut self.looks)
    }

    fn forget(&mut self) {
        self.present = None;
        self.any = None;
        self.names = None;
    }
}

/// Hashes the present identities of objects.
#[derive(Debug, Clone)]
pub(super) struct Hashing(RandomState);

impl Hashing {
    /// That of one.
    pub fn of(&self, resource: &Resource) -> u64 {
        self.0.hash_one(resource.key())
    }
}

/// An identity as it was before a change: apiVersion, kind, namespace that counts, and name.
#[derive(PartialEq, Eq)]
struct OwnKey([Text; 4]);

impl OwnKey {
    fn of(resource: &Resource) -> Self {
        let api_version = resource.object.get("apiVersion").map_or("", text);
        let texts = [
            api_version,
            resource.kind(),
            resource.effective_namespace(),
            resource.name(),
        ];
        Self(texts.map(Text::from))
    }
}

fn duplicate(resource: &Resource) -> Error {
    resource.blame(
        Error::failed("there are two objects with this kind, name and namespace")
            .hint("remove one of them, or keep them apart with a namePrefix; no namespace means `default`"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::Source;
    use crate::yaml::{Mapping, Node};

    #[test]
    fn objects_are_counted() {
        let resource = |name: &str| {
            let mut metadata = Mapping::new();
            metadata.set("name", Node::string(name));
            let mut object = Mapping::new();
            object.set("metadata", metadata);
            let source = Source {
                path: "a.yaml".into(),
                line: None,
            };
            Resource::new(object, source)
        };
        let mut resources = Resources {
            list: (1..MAX_OBJECTS).map(|_| resource("many").into()).collect(),
            ..Resources::default()
        };
        resources
            .append(resource("last"))
            .expect("as many as may be");
        let error = resources
            .append(resource("more"))
            .expect_err("one too many");
        assert!(
            error.to_string().contains(&MAX_OBJECTS.to_string()),
            "{error}"
        );
    }
}
