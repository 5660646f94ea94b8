//! Looking at the cluster: what is not known yet, and what was known before a start.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::application::Application;
use crate::cluster::{Discovery, Identity, Lookup, Resource, Target};
use crate::error::Class;
use crate::inventory::{Entry, Inventory, State};
use crate::live::{Sighting, Wanted, snapshot};
use crate::object::{Gvk, Lockstep, ObjectId};
use crate::status::Problem;

impl Application {
    /// Reads what is desired or recorded and not known yet, or could not be read before.
    pub(super) async fn look(&mut self, who: &Identity, now: i64) {
        let Some(inventory) = &self.inventory else {
            return;
        };
        if self.discovery.is_none() {
            match self.discovery(false).await {
                Ok(discovery) => self.discovery = Some(discovery),
                Err(problem) => return self.problems.push(problem),
            }
        }
        let Some(discovery) = &self.discovery else {
            return;
        };
        update_recorded(&mut self.recorded, inventory, discovery);
        let goal = self
            .goal
            .as_ref()
            .map(|goal| Arc::clone(&goal.desired))
            .unwrap_or_default();
        let mut wanted: BTreeMap<ObjectId, Wanted<'_>> = BTreeMap::new();
        let is_known = |seen: Option<&Sighting>| {
            seen.is_some_and(|seen| !matches!(seen, Sighting::Unknown(_)))
        };
        let mut live = Lockstep::of(&self.live);
        for (id, hook) in &goal.hooks {
            if let (false, Some(resource)) = (is_known(live.get(id)), hook.object.resource()) {
                let target = Target::new(resource, id.namespace.as_str(), id.name.as_str());
                let entry = inventory.get(id);
                wanted.insert(
                    id.clone(),
                    Wanted {
                        target,
                        desired: None,
                        entry,
                    },
                );
            }
        }
        let mut live = Lockstep::of(&self.live);
        for (id, object) in &goal.objects {
            if let (false, Some(resource)) = (is_known(live.get(id)), object.resource()) {
                let target = Target::new(resource, id.namespace.as_str(), id.name.as_str());
                let entry = inventory.get(id);
                let held = entry.and_then(|entry| self.holding(id, entry));
                wanted.insert(
                    id.clone(),
                    Wanted {
                        target,
                        desired: held.or(Some(object)),
                        entry,
                    },
                );
            }
        }
        let mut live = Lockstep::of(&self.live);
        for (id, entry) in inventory.iter() {
            if is_known(live.get(id)) || wanted.contains_key(id) {
                continue;
            }
            if let Some(resource) = self.recorded.get(id) {
                let target = Target::new(resource, id.namespace.as_str(), id.name.as_str());
                wanted.insert(
                    id.clone(),
                    Wanted {
                        target,
                        desired: self.holding(id, entry),
                        entry: Some(entry),
                    },
                );
            }
        }
        if wanted.is_empty() {
            return;
        }
        let wanted = wanted.into_values().collect();
        let seen = snapshot(&*self.shared.cluster, who, &self.owner, wanted, now).await;
        // Many objects fail to be read for one reason: it is told once.
        let first = seen.iter().find_map(|(id, sighting)| match sighting {
            Sighting::Unknown(why) => Some((id.clone(), why.clone())),
            _ => None,
        });
        if let Some((id, why)) = first {
            let forbidden = why.contains("forbidden");
            let reason = if forbidden { "Forbidden" } else { "ReadFailed" };
            let remedy = crate::cluster::remedy(reason)
                .map(|r| format!(" ({r})"))
                .unwrap_or_default();
            let place = self.place(&id);
            self.problems.push(Problem {
                reason: reason.into(),
                message: format!("{place}{why}{remedy}"),
                class: if forbidden {
                    Class::Stalled
                } else {
                    Class::Retry
                },
            });
        }
        self.live.extend(seen);
    }

    /// After a start: objects whose recorded content is the declared one, or that of last-good, are
    /// the ones enforced, so that a difference in the cluster is known for drift. Intentions are
    /// resolved.
    pub(super) fn recognise(&mut self) {
        let Some(inventory) = &mut self.inventory else {
            return;
        };
        let resolved: Vec<(ObjectId, String)> = inventory
            .iter()
            .filter(|(_, entry)| entry.uid().is_none())
            .filter_map(|(id, entry)| {
                let seen = self.live.get(id)?.present()?;
                crate::diff::is_ours(seen, Some(entry)).then(|| (id.clone(), seen.uid.clone()))
            })
            .collect();
        for (id, uid) in resolved {
            inventory.update(&id, |entry| entry.state = State::Owned { uid });
        }
        let (mut known, mut undescribed) = (Vec::new(), Vec::new());
        let mut entries = inventory.lockstep();
        let mut enforced = Lockstep::of(&self.enforced);
        for (id, object) in self.goal.iter().flat_map(|goal| &goal.desired.objects) {
            let entry = entries.get(id).map(|(_, entry)| entry);
            let entry = entry.filter(|entry| entry.hash == object.hash);
            let is_known = match enforced.get(id) {
                // What was only intended never was in the cluster: its absence is no drift.
                None => entry.is_some_and(|entry| entry.uid().is_some()),
                // One copy of what did not change is enough.
                Some(old) => old.hash == object.hash && !Arc::ptr_eq(old, object),
            };
            if is_known {
                known.push((id.clone(), Arc::clone(object)));
            }
            // What decides about a later removal may change without the content: a wave, or an
            // approval of a deletion that has become void.
            if entry.is_some_and(|entry| !object.is_described(entry)) {
                undescribed.push(Arc::clone(object));
            }
        }
        self.enforced.extend(known);
        for object in undescribed {
            inventory.update(&object.id, |entry| object.describe(entry));
        }
        self.enforce_restored();
    }
}

/// Brings up to date where recorded objects are served.
pub(super) fn update_recorded(
    recorded: &mut BTreeMap<ObjectId, Resource>,
    inventory: &Inventory,
    discovery: &Discovery,
) {
    // Nearly always it is what it was: that is told without a copy of every id.
    if recorded.iter().eq(served(inventory.iter(), discovery)) {
        return;
    }
    *recorded = served(inventory.iter(), discovery)
        .map(|(id, resource)| (id.clone(), resource.clone()))
        .collect();
}

/// Where recorded objects are served, at the version of the record where that is still so; in the
/// order of the records.
fn served<'a>(
    entries: impl Iterator<Item = (&'a ObjectId, &'a Entry)>,
    discovery: &'a Discovery,
) -> impl Iterator<Item = (&'a ObjectId, &'a Resource)> {
    // Ids are sorted by kind: it is looked up once for all of it.
    let mut last: Option<(Gvk, Option<&Resource>)> = None;
    entries.filter_map(move |(id, entry)| {
        let same = last.as_ref().filter(|(gvk, _)| {
            (&gvk.group, &gvk.version, &gvk.kind) == (&id.group, &entry.version, &id.kind)
        });
        let resource = if let Some((_, resource)) = same {
            *resource
        } else {
            let gvk = entry.gvk(id);
            let resource = match discovery.lookup_kind(&gvk) {
                Lookup::Served(resource) => Some(resource),
                Lookup::NotServed | Lookup::Unknown => None,
            };
            last = Some((gvk, resource));
            resource
        };
        Some((id, resource?))
    })
}
