//! The manifests that a kustomization names: read in order, and understood by several threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::build::{Build, Layer, adopt_bookkeeping};
use super::error::{Error, Result};
use super::limits::MAX_NODES;
use super::meter::Size;
use super::provenance::Origin;
use super::resource::Resource;
use super::resources::Resources;
use super::{manifest, origin};
use crate::parallel;
use crate::tree::Found;

/// How many bytes are read before they are understood: they are in memory until then.
const AT_ONCE: usize = 8 << 20;

/// Files next to each other in a list of paths, read and not yet understood.
#[derive(Debug, Default)]
pub(super) struct Files<'a> {
    waiting: Vec<File<'a>>,
    bytes: usize,
}

/// One of them.
#[derive(Debug)]
struct File<'a> {
    /// As written in the kustomization.
    path: &'a str,
    /// Of the root of the repository.
    name: String,
    bytes: Arc<[u8]>,
}

impl File<'_> {
    /// Its objects, and how much they are.
    fn objects(&self) -> Result<(Size, Vec<Resource>)> {
        let resources = manifest::read(&self.bytes, &self.name)?;
        Ok((Size::of_all(&resources), resources))
    }
}

impl<'a> Files<'a> {
    /// Reads a file that was looked for at `path` just now.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn read(&mut self, layer: &Layer<'_>, path: &'a str, found: Option<&Found>) -> Result<()> {
        let bytes = layer.loader.read_found(path, found)?;
        let name = layer.loader.resolve_name(path);
        self.bytes += bytes.len();
        self.waiting.push(File { path, name, bytes });
        Ok(())
    }

    /// Whether it is time to understand them.
    pub fn is_full(&self) -> bool {
        self.bytes >= AT_ONCE
    }

    /// Appends their objects, as if each file were read when the one before is done. None of them
    /// waits afterwards.
    ///
    /// # Errors
    /// On the first file that is no manifest, or has too much in it: placed with `at`.
    pub fn append(
        &mut self,
        build: &Build,
        layer: &Layer<'_>,
        all: &mut Resources,
        at: impl Fn(Error, &str) -> Error,
    ) -> Result<()> {
        self.bytes = 0;
        let files = std::mem::take(&mut self.waiting);
        // Files full of aliases are each within their limits, and too much together. Those that are
        // left out here are not reached below either, as the count ends the render before.
        let nodes = AtomicUsize::new(0);
        let understood = parallel::map(files, build.threads, |file| {
            if nodes.load(Ordering::Relaxed) > MAX_NODES {
                return (file, None);
            }
            let objects = file.objects();
            if let Ok((size, _)) = &objects {
                nodes.fetch_add(size.nodes, Ordering::Relaxed);
            }
            (file, Some(objects))
        });
        for (file, objects) in understood {
            let path = file.path;
            let objects = objects.unwrap_or_else(|| file.objects());
            let (size, mut resources) = objects.map_err(|e| at(e, path))?;
            let counted = layer.loader.count(size);
            counted.map_err(|e| at(e.within(&file.name), path))?;
            for resource in &mut resources {
                begin(build, layer, &file, resource);
            }
            all.append_all(resources)?;
        }
        Ok(())
    }
}

/// What is remembered of an object from the start.
fn begin(build: &Build, layer: &Layer<'_>, file: &File<'_>, resource: &mut Resource) {
    if build.tracks_origin() {
        resource.trail.origin = Some(Origin::file(&layer.origin, file.path).into());
        resource.trail.annotated = true;
    }
    adopt_bookkeeping(resource);
    if build.traces(resource) {
        origin::begin(resource);
        origin::observe_one(resource, &origin::of_file(&file.name));
    }
}
