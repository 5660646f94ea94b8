//! The objects that a layer has accumulated, in order, with the indexes by which they are found.
//! kustomize scans the whole list for each look-up.

use std::collections::{HashMap, HashSet};

use super::error::{Error, Reason, Result};
use super::identity::{Identity, Key};
use super::limits::MAX_OBJECTS;
use super::order::Ranks;
use super::resource::Resource;

/// The accumulated objects. Indexes are made when they are first asked for, and thrown away when
/// identities may have changed.
#[derive(Debug, Default)]
pub(super) struct Resources {
    list: Vec<Resource>,
    present: Option<HashSet<Key>>,
    any: Option<HashMap<Key, Vec<usize>>>,
    names: Option<HashMap<String, Vec<usize>>>,
    has_deleted: bool,
}

impl Resources {
    /// Appends an object.
    ///
    /// # Errors
    /// Where one with the same identity is there already.
    pub fn append(&mut self, resource: Resource) -> Result<()> {
        let id = resource.id();
        if self.list.len() >= MAX_OBJECTS {
            return Err(Error::new(
                Reason::LimitExceeded,
                format!("more than {MAX_OBJECTS} objects in one render"),
            )
            .hint("split the application"));
        }
        if !self.present().insert(id.key()) {
            return Err(duplicate(&resource, &id));
        }
        let place = self.list.len();
        if let Some(index) = &mut self.any {
            for id in resource.all_ids() {
                add(index.entry(id.key()).or_default(), place);
            }
        }
        if let Some(index) = &mut self.names {
            for name in resource.all_names() {
                add(index.entry(name.to_owned()).or_default(), place);
            }
        }
        self.list.push(resource);
        Ok(())
    }

    /// Appends objects in order.
    ///
    /// # Errors
    /// As [`Resources::append`].
    pub fn append_all(&mut self, resources: impl IntoIterator<Item = Resource>) -> Result<()> {
        resources
            .into_iter()
            .try_for_each(|resource| self.append(resource))
    }

    /// Puts an object in the place of another.
    pub fn put(&mut self, index: usize, resource: Resource) {
        self.list[index] = resource;
        self.forget();
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// The objects in order.
    pub fn iter(&self) -> impl Iterator<Item = &Resource> {
        self.list.iter().filter(|resource| !resource.deleted)
    }

    /// The objects in order, to change them in any way.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Resource> {
        self.forget();
        self.list.iter_mut().filter(|resource| !resource.deleted)
    }

    /// The objects in order, to change anything but kind, name, namespace and the names of the past.
    pub fn iter_mut_keeping_ids(&mut self) -> impl Iterator<Item = &mut Resource> {
        self.list.iter_mut().filter(|resource| !resource.deleted)
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
        let before = self.list[index].id();
        change(&mut self.list[index])?;
        if self.list[index].deleted {
            self.has_deleted = true;
            self.present = None;
        } else if self.list[index].id() != before {
            self.forget();
        }
        Ok(())
    }

    /// All objects, taken out.
    pub fn into_vec(self) -> Vec<Resource> {
        self.list
            .into_iter()
            .filter(|resource| !resource.deleted)
            .collect()
    }

    /// Drops deleted objects.
    pub fn drop_deleted(&mut self) {
        if std::mem::take(&mut self.has_deleted) {
            self.list.retain(|resource| !resource.deleted);
            self.forget();
        }
    }

    /// Keeps the objects for which `keep` holds.
    pub fn retain(&mut self, keep: impl FnMut(&Resource) -> bool) {
        self.list.retain(keep);
        self.forget();
    }

    /// Puts them into the order of `ranks`.
    pub fn sort(&mut self, ranks: &Ranks) {
        let list = std::mem::take(&mut self.list);
        let mut keyed: Vec<_> = list.into_iter().map(|r| (ranks.key(&r.id()), r)).collect();
        keyed.sort_by(|(a, _), (b, _)| a.compare(b));
        self.list = keyed.into_iter().map(|(_, resource)| resource).collect();
        self.forget();
    }

    /// The first two objects that have one identity, if there are such.
    ///
    /// # Errors
    /// Where there are.
    pub fn check_unique(&mut self) -> Result<()> {
        let mut seen = HashSet::new();
        for resource in self.iter() {
            let id = resource.id();
            if !seen.insert(id.key()) {
                return Err(duplicate(resource, &id));
            }
        }
        Ok(())
    }

    /// The objects that have or had this identity.
    pub fn with_any_id(&mut self, id: &Identity) -> Vec<usize> {
        let list = &self.list;
        let index = self.any.get_or_insert_with(|| {
            let mut index: HashMap<Key, Vec<usize>> = HashMap::new();
            for (i, resource) in list.iter().enumerate() {
                for id in resource.all_ids() {
                    add(index.entry(id.key()).or_default(), i);
                }
            }
            index
        });
        let found = index.get(&id.key()).map_or(&[][..], Vec::as_slice);
        found
            .iter()
            .copied()
            .filter(|i| !list[*i].deleted)
            .collect()
    }

    /// The objects that have or had this name.
    pub fn with_any_name(&mut self, name: &str) -> Vec<usize> {
        let list = &self.list;
        let index = self.names.get_or_insert_with(|| {
            let mut index: HashMap<String, Vec<usize>> = HashMap::new();
            for (i, resource) in list.iter().enumerate() {
                for name in resource.all_names() {
                    add(index.entry(name.to_owned()).or_default(), i);
                }
            }
            index
        });
        let found = index.get(name).map_or(&[][..], Vec::as_slice);
        found
            .iter()
            .copied()
            .filter(|i| !list[*i].deleted)
            .collect()
    }

    fn present(&mut self) -> &mut HashSet<Key> {
        let list = &self.list;
        self.present.get_or_insert_with(|| {
            list.iter()
                .filter(|r| !r.deleted)
                .map(|r| r.id().key())
                .collect()
        })
    }

    fn forget(&mut self) {
        self.present = None;
        self.any = None;
        self.names = None;
    }
}

fn add(indexes: &mut Vec<usize>, i: usize) {
    if indexes.last() != Some(&i) {
        indexes.push(i);
    }
}

fn duplicate(resource: &Resource, id: &Identity) -> Error {
    Error::failed("there are two objects with this kind, name and namespace")
        .hint("remove one of them, or keep them apart with a namePrefix; no namespace means `default`")
        .about(id)
        .on_line(resource.source.line.unwrap_or(0))
        .within(&resource.source.path)
}
