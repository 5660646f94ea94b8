//! The manifests that a kustomization names: read and understood by several threads, and appended in
//! order.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::build::{Build, Layer, adopt_bookkeeping};
use super::error::{Error, Result};
use super::limits::{MAX_NODES, MAX_OBJECTS, MAX_TOTAL_BYTES};
use super::load;
use super::meter::Size;
use super::provenance::Origin;
use super::resource::Resource;
use super::resources::{Hashing, Resources};
use super::{manifest, origin};
use crate::parallel;
use crate::tree::Found;

/// How many files are looked for, and understood, before their objects are appended.
pub(super) const AT_ONCE: usize = 4096;

/// Files next to each other in a list of paths, not yet read.
#[derive(Debug, Default)]
pub(super) struct Files<'a> {
    waiting: Vec<File<'a>>,
}

/// One of them.
#[derive(Debug)]
struct File<'a> {
    /// As written in the kustomization.
    path: &'a str,
    file: load::File<'a>,
}

/// What is in one.
struct Content {
    bytes: usize,
    size: Size,
    /// Each with the hash of its identity.
    resources: Vec<(u64, Box<Resource>)>,
}

/// What was read by all threads, of what one render may read.
struct Counted {
    bytes: AtomicUsize,
    nodes: AtomicUsize,
    objects: AtomicUsize,
    /// What comes after a mistake is of no interest.
    failed: AtomicBool,
}

impl Counted {
    fn is_enough(&self) -> bool {
        let over = |count: &AtomicUsize, limit| count.load(Ordering::Relaxed) > limit;
        self.failed.load(Ordering::Relaxed)
            || over(&self.bytes, MAX_TOTAL_BYTES)
            || over(&self.nodes, MAX_NODES)
            || over(&self.objects, MAX_OBJECTS)
    }
}

impl File<'_> {
    fn content(&self, counted: &Counted, hashing: &Hashing) -> Result<Content> {
        let content = self.understand(counted, hashing);
        match &content {
            Ok(content) => {
                let (nodes, objects) = (content.size.nodes, content.resources.len());
                counted.nodes.fetch_add(nodes, Ordering::Relaxed);
                counted.objects.fetch_add(objects, Ordering::Relaxed);
            }
            Err(_) => counted.failed.store(true, Ordering::Relaxed),
        }
        content
    }

    fn understand(&self, counted: &Counted, hashing: &Hashing) -> Result<Content> {
        let bytes = self.file.read()?;
        counted.bytes.fetch_add(bytes.len(), Ordering::Relaxed);
        let resources = manifest::read(&bytes, &self.file.name)?;
        let size = Size::of_all(&resources);
        // Here, where they are in the cache.
        let begun = resources.into_iter().map(|resource| {
            let mut resource = Box::new(resource);
            adopt_bookkeeping(&mut resource);
            (hashing.of(&resource), resource)
        });
        Ok(Content {
            bytes: bytes.len(),
            size,
            resources: begun.collect(),
        })
    }
}

impl<'a> Files<'a> {
    /// Adds a file that was looked for at `path` just now.
    ///
    /// # Errors
    /// Where it may not be read.
    pub fn add(&mut self, layer: &Layer<'a>, path: &'a str, found: Option<&Found>) -> Result<()> {
        let file = layer.loader.open(path, found)?;
        self.waiting.push(File { path, file });
        Ok(())
    }

    /// Whether it is time to read them.
    pub fn is_full(&self) -> bool {
        self.waiting.len() >= AT_ONCE
    }

    /// Appends their objects, as if each file were read when the one before is done. None of them
    /// waits afterwards.
    ///
    /// # Errors
    /// On the first file that cannot be read, is no manifest, or has too much in it: placed with
    /// `at`.
    pub fn append(
        &mut self,
        build: &Build,
        layer: &Layer<'_>,
        all: &mut Resources,
        at: impl Fn(Error, &str) -> Error,
    ) -> Result<()> {
        let files = std::mem::take(&mut self.waiting);
        // Files are each within their limits, and may be too much together. Those that are left out
        // here are not reached below either, as a count or a mistake ends the render before; but
        // for a few that another thread was about to read.
        let (bytes, nodes) = layer.loader.spent();
        let counted = Counted {
            bytes: bytes.into(),
            nodes: nodes.into(),
            objects: all.len().into(),
            failed: false.into(),
        };
        let hashing = all.hashing();
        let content = |file: &File<'_>| file.content(&counted, &hashing);
        let understood = parallel::map(files.iter().collect(), build.threads, |file| {
            (!counted.is_enough()).then(|| content(file))
        });
        for (file, understood) in files.iter().zip(understood) {
            let path = file.path;
            let content = understood.unwrap_or_else(|| content(file));
            let mut content = content.map_err(|e| at(e, path))?;
            let bytes = layer.loader.spend_bytes(content.bytes);
            bytes.map_err(|e| at(e, path))?;
            let nodes = layer.loader.count(content.size);
            nodes.map_err(|e| at(e.within(&file.file.name), path))?;
            if build.follows_origins() {
                let resources = content.resources.iter_mut();
                resources.for_each(|(_, resource)| follow(build, layer, file, resource));
            }
            for (hash, resource) in content.resources {
                all.append_hashed(resource, hash)?;
            }
        }
        Ok(())
    }
}

/// What is remembered of an object from the start, where somebody asks where things come from.
fn follow(build: &Build, layer: &Layer<'_>, file: &File<'_>, resource: &mut Resource) {
    if build.tracks_origin() {
        resource.trail.origin = Some(Origin::file(&layer.origin, file.path).into());
        resource.trail.annotated = true;
    }
    if build.traces(resource) {
        origin::begin(resource);
        origin::observe_one(resource, &origin::of_file(&file.file.name));
    }
}
